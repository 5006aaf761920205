//! How to test a program that calls functions: without a broker, and with everything in the test.
//!
//! `cargo test --example testing`
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use simple_dist::{CallError, Client, Function, PureFunction};

const SCORE: PureFunction<String, u32> = Function::pure("score", 1, score);

fn score(word: String) -> u32 {
    word.bytes().map(|letter| u32::from(letter.to_ascii_lowercase().saturating_sub(b'a')) + 1).sum()
}

/// What is to be tested: it takes a client, and does not care which.
async fn best(client: &Client, words: &[&str]) -> Result<Option<String>, CallError> {
    let score = client.function(SCORE);
    let mut best = None;
    for word in words {
        let found = (score.call((*word).to_owned()).await?, (*word).to_owned());
        best = best.max(Some(found));
    }
    Ok(best.map(|(_, word)| word))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::local()?; // runs everything here: no broker, nothing to wait for
    println!("{:?}", best(&client, &["plain", "words", "win"]).await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use simple_dist::Fallback;
    use simple_dist::testing::{Cluster, assert_pure};

    use super::*;

    #[test]
    fn the_function_is_pure() {
        assert_pure(SCORE, ["", "a", "words"].map(str::to_owned));
    }

    #[tokio::test]
    async fn the_best_word_is_found() {
        let best = best(&Client::local().unwrap(), &["plain", "words", "win"]).await.unwrap();
        assert_eq!(best.as_deref(), Some("words"));
    }

    /// A broker, a distributor and a worker, of this test alone: what travels, does travel.
    #[tokio::test]
    async fn a_worker_gives_the_same() {
        let cluster = Cluster::start().serve_pure(SCORE).await;
        let score = cluster.client().function(SCORE);
        let remote = score.call("words".to_owned()).fallback(Fallback::Never).await.unwrap();
        assert_eq!(remote, SCORE.run("words".to_owned()));
        cluster.stop().await;
    }

    #[test]
    fn it_runs() {
        main().unwrap();
    }
}
