//! Problems with what workers answer: calls that were run again, and did not give the same.

use super::super::format::{list, many};
use super::super::{Difference, Function, Problem, ProblemKind, Severity, View, Worker};
use super::named;

/// How many seconds a difference is reported that has no consequences yet.
const LATELY: f64 = 600.0;

pub(super) fn problems(view: &View) -> Vec<Problem> {
    let outvoted = view.workers.iter().filter(|worker| worker.state.is_alive());
    let mut problems: Vec<Problem> =
        outvoted.filter_map(|worker| of_worker(worker, view)).collect();
    problems.extend(of_functions(view));
    problems.extend(undecided(view));
    problems
}

fn of_worker(worker: &Worker, view: &View) -> Option<Problem> {
    let outvoted = worker.outvoted.as_ref()?;
    let (name, calls) = (worker.id.short(), many(u64::from(outvoted.calls), "call"));
    let differs = format!("answers of {name} differ from those of all others");
    let how = format!("in {calls} of {}", outvoted.function);
    let (severity, text) = match &outvoted.serves_alone {
        Some(alone) => (
            Severity::Critical,
            format!("The {differs}, {how}; it goes on, as nobody else serves {alone}."),
        ),
        None => (Severity::Warning, format!("The {differs}, {how}: it gets no more jobs.")),
    };
    let is_of = |difference: &&Difference| difference.outvoted == Some(worker.id);
    let last = view.differences.iter().find(is_of);
    let text = last.and_then(values).map_or(text.clone(), |values| format!("{text} {values}"));
    let problem = Problem::new(ProblemKind::Outvoted, severity, "A worker answers differently.");
    Some(problem.saying(text).about(vec![outvoted.function.clone()]))
}

fn of_functions(view: &View) -> Option<Problem> {
    let refuted: Vec<&Function> = view.functions.iter().filter(|it| it.refuted).collect();
    let (names, said) = named(&refuted)?;
    let (is, its) = if names.len() == 1 { ("is", "its") } else { ("are", "their") };
    let last = view.differences.iter().find(|it| it.refutes && names.contains(&it.function));
    let values = last.and_then(values).map(|values| format!(" {values}")).unwrap_or_default();
    let headline = "A function is not deterministic.";
    let text = format!(
        "{said} {is} declared deterministic, but {its} answers differ by themselves: calls share no \
         runs and no answers any more.{values}"
    );
    let problem = Problem::new(ProblemKind::NotDeterministic, Severity::Warning, headline);
    Some(problem.saying(text).about(names))
}

fn undecided(view: &View) -> Option<Problem> {
    let is_known = |difference: &Difference| {
        let of = view.functions.iter().find(|function| function.name == difference.function);
        let outvoted = view.workers.iter().filter(|worker| worker.outvoted.is_some());
        of.is_none_or(|function| function.refuted)
            || outvoted.into_iter().any(|worker| difference.outvoted == Some(worker.id))
    };
    let open = || view.differences.iter().filter(|it| it.age.0 < LATELY && !is_known(it));
    let last = open().next()?;
    let mut names: Vec<_> = open().map(|difference| difference.function.clone()).collect();
    names.sort_unstable();
    names.dedup();
    let values = values(last).map(|values| format!(" {values}")).unwrap_or_default();
    let calls = many(open().count() as u64, "call");
    let headline = "Answers of equal calls differ.";
    let text = format!(
        "Answers differ in {calls} of {}, and it is not yet clear which are wrong.{values}",
        list(&names)
    );
    let problem = Problem::new(ProblemKind::AnswersDiffer, Severity::Warning, headline);
    Some(problem.saying(text).about(names))
}

/// `w-12ab gave 20, w-34cd gave 21.`, where values are shown, or their lengths.
fn values(difference: &Difference) -> Option<String> {
    let mut answers = difference.answers.iter();
    let first = answers.next()?;
    let other = answers.find(|other| other.digest != first.digest).or(answers.next())?;
    let said = [first, other].map(|answer| {
        let value = answer.preview.clone().unwrap_or_else(|| many(answer.bytes, "byte"));
        format!("{} gave {value}", answer.worker.short())
    });
    Some(format!("{}.", said.join(", ")))
}
