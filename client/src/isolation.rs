//! Runs here in child processes: where these enter the program, and what they run.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::OnceLock;

use simple_dist_isolation::inside::{self, Reached};
use simple_dist_isolation::{Limits, Spec};
use simple_dist_link::environment;
use simple_dist_protocol::{Address, Argument, Erased, Failure, Function, PureFunction};

use crate::local::inside::serve;

/// What children of clients are told to reach.
const NAME: &str = "client";
/// What children of this program run, once they could enter it.
static ENTERED: OnceLock<BTreeSet<Address>> = OnceLock::new();

/// The functions that the clients of a program run in child processes, and where these enter it: the
/// same program, started again, whose `main` begins with this. There a child runs what it is given and
/// never returns, so nothing else of the program happens in it.
///
/// ```no_run
/// use simple_dist_client::{Client, Entrance, Isolation};
/// use simple_dist_protocol::{Function, PureFunction};
///
/// const FIB: PureFunction<u64, u64> = Function::pure("fib", 1, fib);
///
/// fn fib(n: u64) -> u64 {
///     if n < 2 { n } else { fib(n - 1) + fib(n - 2) }
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     Entrance::new().serve_pure(FIB).enter();
///     let client = Client::from_env()?.local_isolation(Isolation::Process).connect()?;
///     println!("{}", client.function(FIB).call(20).blocking()?);
///     Ok(())
/// }
/// ```
#[derive(Debug, Default)]
#[must_use = "nothing enters before `enter`"]
pub struct Entrance {
    functions: Vec<Erased>,
}

impl Entrance {
    /// For no function yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs a function by this body, whatever [`Handle::locally`](crate::Handle::locally) says.
    pub fn serve<A: Argument, R: Argument, E: Failure>(
        self,
        function: Function<A, R, E>,
        body: impl Fn(A) -> E::Return<R> + Send + Sync + 'static,
    ) -> Self {
        self.serve_erased(function.erased(body))
    }

    /// Runs a function by the body that it has.
    pub fn serve_pure<A: Argument, R: Argument, E: Failure>(
        self,
        function: PureFunction<A, R, E>,
    ) -> Self {
        self.serve_erased(function.erased())
    }

    /// Runs a function without its types.
    pub fn serve_erased(mut self, function: Erased) -> Self {
        self.functions.push(function);
        self
    }

    /// In a child of a client, runs what that gives it, and never returns. Elsewhere it returns at
    /// once. To be called once, before anything that a child should not do too.
    pub fn enter(self) {
        match inside::reach(NAME, Limits::default()) {
            Ok(Reached::Free | Reached::Other) => {
                let all = self.functions.iter().map(|function| function.address().clone());
                if ENTERED.set(all.collect()).is_err() {
                    tracing::error!("a second entrance: no child comes so far");
                }
            }
            Ok(Reached::Here(parent)) => serve(parent, self.functions),
            Ok(Reached::Again) => inside::end(),
            Err(error) => {
                // Its parent reads it, and nobody logs yet.
                let _unread = writeln!(io::stderr(), "a child cannot enter: {error}");
                inside::end()
            }
        }
    }
}

/// Whether children could enter this program.
pub(crate) fn is_entered() -> bool {
    ENTERED.get().is_some()
}

/// Whether children run this function.
pub(crate) fn runs(function: &Address) -> bool {
    ENTERED.get().is_some_and(|functions| functions.contains(function))
}

/// How a child is started.
pub(crate) fn spec() -> Spec {
    let (without, with) = environment::of_children();
    Spec { name: NAME.to_owned(), without, with }
}
