//! Spans of OpenTelemetry: a call's, its wait's, its runs', which together are one trace. They go to
//! the provider that the program has installed with `opentelemetry::global::set_tracer_provider`;
//! there are none while it has none.

use std::fmt::Display;
use std::time::SystemTime;

use opentelemetry::trace::{
    FutureExt as _, Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status,
    TraceContextExt as _, TraceFlags, TraceId, TraceState, Tracer as _,
};
use opentelemetry::{Context, KeyValue, global};

use crate::JobId;

/// A span that has begun. It ends when it is dropped.
#[derive(Debug)]
pub struct Span {
    context: Context,
    is_ours: bool,
}

impl Span {
    /// A call's: a child of the span that `traceparent` names or, without one, of the span that is
    /// current where the call begins.
    pub fn call(function: impl Display, job: JobId, traceparent: Option<&str>) -> Self {
        let parent = traceparent.map_or_else(Context::current, remote);
        Self::begin("call", SpanKind::Client, (&function, job), &parent, None)
    }

    /// A run's, in the process that runs the job: a child of the call's.
    pub fn run(function: impl Display, job: JobId, traceparent: Option<&str>) -> Self {
        let parent = traceparent.map_or_else(Context::new, remote);
        Self::begin("run", SpanKind::Server, (&function, job), &parent, None)
    }

    /// One that another process has begun, and ends.
    pub fn of_another(traceparent: Option<&str>) -> Self {
        Self { context: traceparent.map_or_else(Context::new, remote), is_ours: false }
    }

    /// Records the wait of a job for its run: a child of the call's. It ended without a run if
    /// `failure` says why.
    pub fn queue(
        function: impl Display,
        job: JobId,
        traceparent: &str,
        (from, to): (SystemTime, SystemTime),
        failure: Option<&'static str>,
    ) {
        let (kind, parent) = (SpanKind::Internal, remote(traceparent));
        let queue = Self::begin("queue", kind, (&function, job), &parent, Some(from));
        failure.into_iter().for_each(|kind| queue.fail(kind));
        queue.context.span().end_with_timestamp(to);
    }

    /// The one that is current on this thread, which somebody else ends.
    pub fn current() -> Self {
        Self { context: Context::current(), is_ours: false }
    }

    fn begin(
        what: &'static str,
        kind: SpanKind,
        (function, job): (&impl Display, JobId),
        parent: &Context,
        from: Option<SystemTime>,
    ) -> Self {
        let mut span = SpanBuilder::from_name(what).with_kind(kind);
        span.start_time = from;
        let mut span = global::tracer("simple-dist").build_with_context(span, parent);
        // Without a provider, a span without an id.
        if !span.span_context().is_valid() {
            return Self { context: parent.clone(), is_ours: false };
        }
        // Texts that nobody reads would cost a worker a twentieth of its time for an empty job.
        if span.is_recording() {
            span.update_name(format!("{what} {function}"));
            span.set_attribute(KeyValue::new("simple_dist.function", function.to_string()));
            span.set_attribute(KeyValue::new("simple_dist.job", job.to_string()));
        }
        Self { context: parent.with_span(span), is_ours: true }
    }

    /// What other processes call it; none if nobody records it.
    pub fn traceparent(&self) -> Option<String> {
        let span = self.context.span();
        let known = span.span_context();
        known.is_valid().then(|| {
            let (trace, span, flags) = (known.trace_id(), known.span_id(), known.trace_flags());
            format!("00-{trace}-{span}-{:02x}", flags.to_u8())
        })
    }

    /// Says more of it.
    pub fn set(&self, key: &'static str, value: impl Display) {
        let span = self.context.span();
        if span.is_recording() {
            span.set_attribute(KeyValue::new(key, value.to_string()));
        }
    }

    /// It failed, in one word. No text of the function's: it may tell what is secret.
    pub fn fail(&self, kind: &'static str) {
        let span = self.context.span();
        span.set_attribute(KeyValue::new("error.type", kind));
        span.set_status(Status::error(kind));
    }

    /// Whatever this does on this thread is part of the span.
    pub fn within<T>(&self, run: impl FnOnce() -> T) -> T {
        let _attached = self.context.clone().attach();
        run()
    }

    /// The same where no span is current.
    pub fn within_if_none<T>(&self, run: impl FnOnce() -> T) -> T {
        if Context::current().has_active_span() { run() } else { self.within(run) }
    }

    /// Whatever this does, on whichever thread, is part of the span.
    pub fn follow<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        future.with_context(self.context.clone())
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if self.is_ours {
            self.context.span().end();
        }
    }
}

/// The span that a W3C `traceparent` names; none if it is malformed.
fn remote(traceparent: &str) -> Context {
    let context = Context::new();
    span_context(traceparent)
        .map_or(context.clone(), |known| context.with_remote_span_context(known))
}

/// `00-<trace>-<span>-<flags>`, all in lower-case hexadecimal; later versions may have more.
fn span_context(traceparent: &str) -> Option<SpanContext> {
    let mut parts = traceparent.split('-');
    let mut part = |digits| parts.next().filter(|part| part.len() == digits);
    let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
    let is_alone = parts.next().is_none();
    let flags = u8::from_str_radix(flags, 16).ok()?;
    let known = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(flags),
        true,
        TraceState::NONE,
    );
    (known.is_valid() && version != "ff" && (is_alone || version != "00")).then_some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_passes_as_it_came() {
        let span = Span::of_another(Some(TRACEPARENT));
        assert_eq!(span.traceparent().as_deref(), Some(TRACEPARENT));
        let later = format!("01{}-more", &TRACEPARENT[2..]);
        assert_eq!(Span::of_another(Some(&later)).traceparent().as_deref(), Some(TRACEPARENT));
    }

    #[test]
    fn a_malformed_traceparent_is_none() {
        let (zeros, invalid) = ("0".repeat(32), TRACEPARENT.replacen("00-", "ff-", 1));
        for text in [
            "",
            "00",
            &TRACEPARENT[..54],
            &invalid,
            &TRACEPARENT.replace("0af7651916cd43dd8448eb211c80319c", &zeros),
            &format!("{TRACEPARENT}-more"),
        ] {
            assert_eq!(Span::of_another(Some(text)).traceparent(), None, "{text}");
        }
    }
}
