//! The table of functions whose calls also run as another one, side by side.

use super::colour::Colours;
use crate::view::format::{Measure, count};
use crate::view::{Shadow, ShadowStop, View};
use simple_dist_protocol::text;

/// The most characters shown of arguments and answers.
const SHOWN: usize = 120;

/// A function and its shadow.
pub(super) struct ShadowRow {
    pub(super) live: String,
    pub(super) live_class: String,
    pub(super) shadow: String,
    pub(super) shadow_class: String,
    /// `5.0 % of the calls`.
    pub(super) share: String,
    pub(super) equal: String,
    pub(super) differ: String,
    pub(super) does_differ: bool,
    pub(super) failed: String,
    pub(super) does_fail: bool,
    /// `12 ms / 8 ms`: the mean run of each.
    pub(super) runs: Option<String>,
    /// `900 faster, 12 slower`.
    pub(super) times: String,
    pub(super) skipped: String,
    pub(super) stopped: Option<&'static str>,
}

/// A call on which they differ.
pub(super) struct ExampleRow {
    pub(super) job: String,
    pub(super) label: String,
    pub(super) pair: String,
    pub(super) arguments: Option<String>,
    pub(super) live: String,
    pub(super) shadow: String,
}

/// Those of a function, as the one or the other.
pub(super) fn of_function(
    view: &View,
    name: &str,
    colours: &Colours,
) -> (Vec<ShadowRow>, Vec<ExampleRow>) {
    let of = || view.shadows.iter().filter(|it| *it.live == *name || *it.shadow == *name);
    (of().map(|it| row(it, colours)).collect(), of().flat_map(examples).collect())
}

/// `fib@2 as the shadow of fib@1: 1,204 equal, 3 differ, 1 failed`.
pub(super) fn line(shadow: &Shadow) -> String {
    let Shadow { live, shadow: name, equal, differ, failed, .. } = shadow;
    let [equal, differ, failed] = [equal, differ, failed].map(|number| count(*number));
    format!("{name} as the shadow of {live}: {equal} equal, {differ} differ, {failed} failed")
}

/// Why a shadow has been stopped.
pub(super) fn why(stop: ShadowStop) -> &'static str {
    match stop {
        ShadowStop::Lost => "stopped: a run ended its process, or was lost with its worker",
        ShadowStop::Slow => "stopped: three runs in a row took much longer than the call's own",
    }
}

fn row(shadow: &Shadow, colours: &Colours) -> ShadowRow {
    let means = shadow.live_mean.zip(shadow.shadow_mean);
    ShadowRow {
        live: shadow.live.to_string(),
        live_class: colours.class(&shadow.live),
        shadow: shadow.shadow.to_string(),
        shadow_class: colours.class(&shadow.shadow),
        share: format!("{} of the calls", Measure::share(shadow.share)),
        equal: count(shadow.equal),
        differ: count(shadow.differ),
        does_differ: shadow.differ > 0,
        failed: count(shadow.failed + shadow.expired + shadow.lost),
        does_fail: shadow.failed + shadow.expired + shadow.lost > 0,
        runs: means.map(|(live, shadow)| format!("{live} / {shadow}")),
        times: format!("{} faster, {} slower", count(shadow.faster), count(shadow.slower)),
        skipped: count(shadow.skipped),
        stopped: shadow.stopped.map(why),
    }
}

fn examples(shadow: &Shadow) -> impl Iterator<Item = ExampleRow> {
    let line = |said: &str| text::line(said, SHOWN).to_string();
    shadow.examples.iter().map(move |example| ExampleRow {
        job: example.job.to_string(),
        label: example.job.short(),
        pair: format!("{} / {}", shadow.live, shadow.shadow),
        arguments: example.arguments.as_deref().map(line),
        live: line(&example.live),
        shadow: line(&example.shadow),
    })
}
