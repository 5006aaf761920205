//! A worker that serves the demo's functions: `AMQP_URL=amqp://localhost cargo run --bin worker`.

use simple_dist::worker::{Error, Isolation};
use simple_dist::{Worker, shutdown_signal};
use simple_dist_demo::{ABORT, ECHO, FAIL, FIB, MANDELBROT, PRIMES, SLEEP};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut worker = Worker::from_env()?
        .isolation(Isolation::Process)
        .serve_pure(FIB)
        .serve_pure(PRIMES)
        .serve_pure(MANDELBROT)
        .serve_pure(SLEEP)
        .serve_pure(ECHO)
        .serve_pure(FAIL);
    if std::env::args().any(|argument| argument == "--with-abort") {
        worker = worker.serve_pure(ABORT);
    }
    worker.run(shutdown_signal()).await
}
