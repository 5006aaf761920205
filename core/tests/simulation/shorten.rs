//! Shortens a failing script.

use std::fmt::Write;

use crate::play;
use crate::script::Script;

/// The shortened script of a failing seed, and how it fails, after at most `most` tries.
pub(crate) fn shortened(seed: u64, most: usize) -> String {
    let mut script = Script::new(seed);
    let (mut tries, mut size) = (0, script.actions.len().div_ceil(2));
    while size > 0 && tries < most {
        let before = script.actions.len();
        let mut from = 0;
        while from < script.actions.len() && tries < most {
            let mut shorter = script.clone();
            shorter.actions.drain(from..(from + size).min(shorter.actions.len()));
            tries += 1;
            match play(shorter.clone(), false) {
                Err(_) => script = shorter,
                Ok(_) => from += size,
            }
        }
        // One by one until nothing more can go.
        size = if size > 1 { size / 2 } else { usize::from(script.actions.len() < before) };
    }
    let mut told = format!("seed {seed}, on a way that is {:?}: ", script.way);
    let (distributors, workers) = (script.distributors, &script.workers);
    let isolated = &script.isolated;
    let clients = script.clients.len();
    writeln!(told, "{distributors} distributors, workers {workers:?}").unwrap();
    writeln!(told, "isolated {isolated:?}, {clients} clients").unwrap();
    for (at, action) in &script.actions {
        writeln!(told, "{:9.3} {action:?}", at.as_secs_f64()).unwrap();
    }
    let Err((broken, steps)) = play(script, true) else { return told + "it does not fail again" };
    writeln!(told, "the last steps:\n{}\nbroken: {broken}", steps.join("\n")).unwrap();
    told
}
