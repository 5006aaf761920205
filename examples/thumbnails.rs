//! A function with state: each slot of a worker builds its table once, and uses it for every image. It
//! says how far it is, to whoever listens.
//!
//! `cargo run --example thumbnails`
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use futures_util::{StreamExt, TryStreamExt, future};
use serde::{Deserialize, Serialize};
use simple_dist::testing::Cluster;
use simple_dist::{Bytes, Function, job};

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
        let job = job::current();
        let rows = (0..height).inspect(|y| {
            if let Some(job) = &job {
                job.progress(*y as f32 / height as f32, format_args!("row {y} of {height}"));
            }
        });
        let pixels = rows.flat_map(|y| (0..width).map(move |x| block(x, y))).collect();
        Image { width, height, pixels }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A worker of its own program says the same: Worker::from_env()?.serve_with(..)
    let cluster = Cluster::start()
        .serve_with(THUMBNAIL, Light::new, |light: &mut Light, image| light.shrink(&image))
        .await;

    let photo = |grey, width, height| {
        let pixels = vec![grey; width * height].into();
        Image { width, height, pixels }
    };
    let thumbnail = cluster.client().function(THUMBNAIL);
    let mut thumbnails = thumbnail.map((0..10).map(|shade| photo(shade * 25, 640, 480))).ordered();
    while let Some(small) = thumbnails.try_next().await? {
        println!("{}x{}, grey {}", small.width, small.height, small.pixels[0]);
    }

    let mut large = thumbnail.call(photo(200, 3200, 2400));
    let told = large.progress().for_each(|progress| async move {
        println!("{:.0} %: {}", progress.fraction * 100.0, progress.text);
    });
    println!("{} pixels wide", future::join(large, told).await.0?.width);
    cluster.stop().await;
    Ok(())
}

#[test]
fn it_runs() {
    main().unwrap();
}
