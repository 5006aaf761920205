//! A week of an imaginary service, for tests of whatever shows it, and to look at.

use simple_dist_protocol::Term;

use super::History;
use crate::view::sample::empty;
use crate::view::{Minute, MinuteOf, Sample, Seconds};

/// A week that ends at this Unix time: quiet nights, a function that was slow for an hour of yesterday,
/// another that failed, and half an hour without a distributor.
pub(crate) fn week(now: u64) -> History {
    let mut history = History::default();
    for unix in (now - 7 * 86_400..now).filter(|unix| (now - unix) / 1800 != 10) {
        // Of what is long ago only minutes are kept.
        if now - unix > 3700 && unix % 60 > 1 {
            continue;
        }
        let (hour, slow) = (unix / 3600 % 24, (now - unix) / 3600 == 20);
        let busy = if (8..20).contains(&hour) { 12 + (unix % 3) as u32 } else { 2 };
        let failed = u64::from((now - unix) / 7200 == 3);
        let mut view = empty(unix * 1000);
        view.series = vec![Sample {
            unix,
            slots: 16,
            busy,
            done: u64::from(busy) * 3,
            failed,
            queued: if slow { 400 } else { unix % 5 },
            wait_p95: Some(Seconds(if slow { 9.0 } else { 0.2 })),
            ..Sample::default()
        }];
        let of = |function: &str, failed, run| MinuteOf {
            function: function.into(),
            ended: 100,
            failed,
            wait_p95: Some(Seconds(if slow { 9.0 } else { 0.1 })),
            run_p95: Some(Seconds(run)),
        };
        let functions = vec![
            of("mandelbrot@1", failed * if now - unix > 3700 { 2 } else { 60 }, 0.4),
            of("primes@1", 0, if slow { 30.0 } else { 1.2 }),
        ];
        let (wait_p95, run_p95) = (functions[1].wait_p95, functions[1].run_p95);
        view.minute = Some(Minute { unix: (unix / 60 - 1) * 60, wait_p95, run_p95, functions });
        history.see(&view, Term(u64::from(now - unix < 16_200)));
    }
    history
}
