//! A function with state: each slot of a worker builds its table once, and uses it for every image.
//!
//! `cargo run --example thumbnails`
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};
use simple_dist::testing::Cluster;
use simple_dist::{Bytes, Function};

/// The declaration: what a worker and its callers share.
const THUMBNAIL: Function<Image, Image> = Function::new("thumbnail", 1);

/// 8 bits of grey for each pixel, row by row.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Image {
    width: usize,
    height: usize,
    pixels: Bytes, // one byte each on the wire, unlike a Vec<u8>
}

/// How much light each grey stands for: averaging the greys themselves would darken the image.
struct Light([f32; 256]);

impl Light {
    fn new() -> Self {
        Self(std::array::from_fn(|grey| (grey as f32 / 255.0).powf(2.2)))
    }

    /// A quarter of the width and of the height.
    fn shrink(&self, image: &Image) -> Image {
        let (width, height) = (image.width / 4, image.height / 4);
        let block = |x: usize, y: usize| {
            let pixels = (0..16).map(|i| (y * 4 + i / 4) * image.width + x * 4 + i % 4);
            let light = pixels.map(|at| self.0[usize::from(image.pixels[at])]).sum::<f32>() / 16.0;
            (light.powf(1.0 / 2.2) * 255.0).round() as u8
        };
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| block(x, y))).collect();
        Image { width, height, pixels }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A worker of its own program says the same: Worker::from_env()?.serve_with(..)
    let cluster = Cluster::start()
        .serve_with(THUMBNAIL, Light::new, |light: &mut Light, image| light.shrink(&image))
        .await;

    let photos = (0..10_u8).map(|shade| Image {
        width: 640,
        height: 480,
        pixels: vec![shade * 25; 640 * 480].into(),
    });
    let mut thumbnails = cluster.client().function(THUMBNAIL).map(photos).ordered();
    while let Some(small) = thumbnails.try_next().await? {
        println!("{}x{}, grey {}", small.width, small.height, small.pixels[0]);
    }
    cluster.stop().await;
    Ok(())
}

#[test]
fn it_runs() {
    main().unwrap();
}
