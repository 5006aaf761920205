//! The demo's functions, as constants that the worker serves and the client calls.

use std::time::Duration;

use serde_bytes::ByteBuf;
use simple_dist::{Erased, Function, PureFunction};

/// The n-th Fibonacci number, computed the slow way.
pub const FIB: PureFunction<u64, u64> = Function::pure("fib", 1, fib).deterministic();
/// The number of primes below n.
pub const PRIMES: PureFunction<u64, u64> = Function::pure("primes", 1, primes).deterministic();
/// Row y of a picture of the Mandelbrot set, given (y, width, height): the iterations per pixel.
/// The picture is at most 65,536 pixels wide and high.
pub const MANDELBROT: PureFunction<(u32, u32, u32), Vec<u16>> =
    Function::pure("mandelbrot", 1, mandelbrot).deterministic();
/// Sleeps for the given number of milliseconds, says how far it is, and returns it.
pub const SLEEP: PureFunction<u64, u64> = Function::pure("sleep", 1, sleep);
/// Returns its argument.
pub const ECHO: PureFunction<ByteBuf, ByteBuf> =
    Function::pure("echo", 1, |bytes| bytes).deterministic();
/// Half of an even number; an odd one is an error.
pub const HALF: PureFunction<u64, u64, String> = Function::pure("half", 1, half).deterministic();
/// Panics with the given message.
pub const FAIL: PureFunction<String, ()> = Function::pure("fail", 1, fail);
/// Aborts the process that runs it, as a bug in foreign code would.
pub const ABORT: PureFunction<(), ()> = Function::pure("abort", 1, |()| std::process::abort());

/// All functions except [`ABORT`], which should only be served on request.
pub fn all() -> Vec<Erased> {
    vec![
        FIB.erased(),
        PRIMES.erased(),
        MANDELBROT.erased(),
        SLEEP.erased(),
        ECHO.erased(),
        HALF.erased(),
        FAIL.erased(),
    ]
}

/// The last n whose value fits into a `u64`; a far larger one would overflow the stack.
const LAST_FIB: u64 = 93;

fn fib(n: u64) -> u64 {
    assert!(n <= LAST_FIB, "fib of {n} is larger than a u64: {LAST_FIB} is the last");
    if n < 2 { n } else { fib(n - 1) + fib(n - 2) }
}

/// A larger n would take hours.
const MOST_PRIMES: u64 = 1_000_000_000;

fn primes(below: u64) -> u64 {
    assert!(below <= MOST_PRIMES, "primes are counted up to {MOST_PRIMES}, not {below}");
    let is_prime = |n: u64| (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d));
    (2..below).filter(|n| is_prime(*n)).fold(0, |count, _| count + 1)
}

/// How long it sleeps before it says so, in milliseconds.
const NAP: u64 = 100;
/// The largest picture: the memory and time for a row grow with its width.
const SIDE: u32 = 65_536;

fn mandelbrot((y, width, height): (u32, u32, u32)) -> Vec<u16> {
    let fits = width <= SIDE && height <= SIDE;
    assert!(fits, "a picture is at most {SIDE} pixels wide and high, not {width} x {height}");
    let imaginary = f64::from(y) / f64::from(height) * 2.5 - 1.25;
    let real = |x: u32| f64::from(x) / f64::from(width) * 3.5 - 2.5;
    (0..width).map(|x| iterations(real(x), imaginary)).collect()
}

/// The number of steps of z = z * z + c until c is known to be outside the set, at most 1,000.
fn iterations(real: f64, imaginary: f64) -> u16 {
    let (mut re, mut im) = (0.0, 0.0);
    for step in 0..1000 {
        if re * re + im * im > 4.0 {
            return step;
        }
        (re, im) = (re * re - im * im + real, 2.0 * re * im + imaginary);
    }
    1000
}

fn sleep(millis: u64) -> u64 {
    let (job, mut slept) = (simple_dist::job::current(), 0);
    while slept < millis {
        let nap = (millis - slept).min(NAP);
        std::thread::sleep(Duration::from_millis(nap));
        slept += nap;
        if let Some(job) = &job {
            let (seconds, all) = (slept as f32 / 1e3, millis as f32 / 1e3);
            job.progress(seconds / all, format_args!("slept {seconds:.1} of {all:.1} s"));
        }
    }
    millis
}

fn half(n: u64) -> Result<u64, String> {
    if n.is_multiple_of(2) { Ok(n / 2) } else { Err(format!("{n} is odd")) }
}

fn fail(message: String) {
    panic!("{message}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_right() {
        assert_eq!(FIB.run(20), 6765);
        assert_eq!(PRIMES.run(100), 25);
        assert_eq!(PRIMES.run(0), 0);
    }

    #[test]
    fn a_row_of_the_set_has_its_inside_and_its_outside() {
        let row = MANDELBROT.run((50, 100, 100));
        assert_eq!(row.len(), 100);
        assert!(row.contains(&1000) && row[99] < 1000);
    }

    #[test]
    #[should_panic(expected = "larger than a u64")]
    fn a_number_that_would_take_the_stack_is_refused() {
        FIB.run(100_000_000);
    }

    #[test]
    #[should_panic(expected = "counted up to")]
    fn primes_have_a_bound() {
        PRIMES.run(u64::MAX);
    }

    #[test]
    #[should_panic(expected = "at most 65536 pixels")]
    fn a_picture_has_a_bound() {
        MANDELBROT.run((0, u32::MAX, 24));
    }

    #[test]
    fn abort_is_not_served_unasked() {
        assert!(all().iter().all(|function| *function.address() != ABORT.address()));
    }
}
