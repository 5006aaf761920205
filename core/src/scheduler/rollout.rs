//! How the calls of a function move to a new version of it, as an operator sets it. Which way a call
//! goes depends on its id alone: sent again, or to another distributor with the same settings, it goes
//! the same way.

use std::collections::BTreeMap;
use std::str::FromStr;

use simple_dist_protocol::{Address, JobId, Selector};

use super::Core;
use super::ids::FunctionRef;
use super::percent::Percent;

/// What makes the draws for promotion, and those for each shadow, independent of each other.
const PROMOTION: u64 = 0x7072_6f6d_6f74_6501;
const SHADOW: u64 = 0x7368_6164_6f77_0001;
/// The most pairs of a function and its shadow.
pub(super) const PAIRS: usize = 16;

/// `fib@2:10%`: so many of the calls without a version go to this one, and the others to the highest
/// live version below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promotion {
    /// The newest version that calls without a version go to.
    pub function: Address,
    /// How many of them.
    pub share: Percent,
}

impl FromStr for Promotion {
    type Err = RolloutError;

    fn from_str(text: &str) -> Result<Self, RolloutError> {
        let (function, share) = match text.split_once(':') {
            Some((function, share)) => (function, share.parse()?),
            None => (text, Percent::ALL),
        };
        let function = function.parse().map_err(|_| RolloutError::Promotion)?;
        Ok(Self { function, share })
    }
}

/// `fib@1=fib@2:5%`: so many of the calls of the one also run as the other, its shadow. Both may have
/// another name: the arguments should fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadow {
    /// The function that is called.
    pub live: Address,
    /// The function that its calls also run as.
    pub shadow: Address,
    /// How many of them.
    pub share: Percent,
}

impl FromStr for Shadow {
    type Err = RolloutError;

    fn from_str(text: &str) -> Result<Self, RolloutError> {
        let (pair, share) = match text.split_once(':') {
            Some((pair, share)) => (pair, share.parse()?),
            None => (text, Percent::ALL),
        };
        let (live, shadow) = pair.split_once('=').ok_or(RolloutError::Shadow)?;
        let function = |text: &str| text.parse().map_err(|_| RolloutError::Shadow);
        Ok(Self { live: function(live)?, shadow: function(shadow)?, share })
    }
}

/// Why a setting cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RolloutError {
    /// It is not a promotion.
    #[error(
        "a promotion is a function with its version and a share, like fib@2:10%, or fib@2 for 100%"
    )]
    Promotion,
    /// It is not a function and its shadow.
    #[error(
        "a shadow is two functions with their versions and a share, like fib@1=fib@2:5%, or \
         fib@1=fib@2 for 100%"
    )]
    Shadow,
    /// It is not a share.
    #[error("a share is 0% to 100%, with two decimals at most, like 10% or 0.5%")]
    Share,
    /// Two promotions are of one name.
    #[error("{0} has two promotions, and can have one")]
    Twice(String),
    /// A function is its own shadow.
    #[error("{0} cannot be its own shadow")]
    Own(Address),
    /// A function has the same shadow twice.
    #[error("{0} is a shadow of {1} twice")]
    SamePair(Address, Address),
    /// There are too many shadows.
    #[error("there are at most {PAIRS} shadows")]
    TooMany,
}

/// How calls move to new versions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rollout {
    promotions: BTreeMap<String, Promotion>,
    shadows: Vec<Shadow>,
}

impl Rollout {
    /// With these promotions and shadows.
    ///
    /// # Errors
    ///
    /// Fails if two promotions are of the same name, two shadows are the same, a function is its own
    /// shadow, or there are more than 16 shadows.
    pub fn new(promotions: Vec<Promotion>, shadows: Vec<Shadow>) -> Result<Self, RolloutError> {
        let mut rollout = Self::default();
        for promotion in promotions {
            let name = promotion.function.name().to_owned();
            if rollout.promotions.insert(name.clone(), promotion).is_some() {
                return Err(RolloutError::Twice(name));
            }
        }
        if shadows.len() > PAIRS {
            return Err(RolloutError::TooMany);
        }
        for pair in shadows {
            let is_same = |it: &Shadow| (&it.live, &it.shadow) == (&pair.live, &pair.shadow);
            if pair.live == pair.shadow {
                return Err(RolloutError::Own(pair.live));
            }
            if rollout.shadows.iter().any(is_same) {
                return Err(RolloutError::SamePair(pair.shadow, pair.live));
            }
            rollout.shadows.push(pair);
        }
        Ok(rollout)
    }

    /// The functions and their shadows; the number of a pair is its place here.
    pub fn shadows(&self) -> &[Shadow] {
        &self.shadows
    }

    /// The numbers of the pairs as whose shadow this call also runs.
    pub(super) fn drawn(&self, live: &Address, job: JobId) -> impl Iterator<Item = usize> {
        let pairs = self.shadows.iter().enumerate().filter(move |(_, it)| it.live == *live);
        let drawn = pairs.filter(move |(pair, it)| it.share.covers(job, SHADOW + *pair as u64));
        drawn.map(|(pair, _)| pair)
    }

    /// The highest version that a call without one may go to, if that is limited.
    fn highest(&self, name: &str, job: JobId) -> Option<u32> {
        let promotion = self.promotions.get(name)?;
        Some(promotion.highest(promotion.share.covers(job, PROMOTION)))
    }
}

impl Promotion {
    fn highest(&self, is_covered: bool) -> u32 {
        let version = self.function.version();
        if is_covered { version } else { version.saturating_sub(1) }
    }
}

impl Core {
    /// The function that a call means, and whether it is live. Without a version: the one that is
    /// promoted, else the highest live one, else the placeholder for any version.
    pub(super) fn resolve(&self, selector: &Selector, job: JobId) -> (Option<FunctionRef>, bool) {
        let highest = self.config.rollout.highest(selector.name(), job);
        self.fleet.resolve(selector, highest)
    }

    /// The share of the calls without a version that go to this function now.
    pub(super) fn unversioned_share(&self, function: FunctionRef) -> f64 {
        let functions = &self.fleet.functions;
        let name = functions.get(function).selector.name();
        let goes = |highest| functions.live_version(name, highest) == Some(function);
        let Some(promotion) = self.config.rollout.promotions.get(name) else {
            return f64::from(goes(None));
        };
        let share = promotion.share.fraction();
        [(true, share), (false, 1.0 - share)]
            .into_iter()
            .filter(|(is_covered, _)| goes(Some(promotion.highest(*is_covered))))
            .map(|(_, share)| share)
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promotions_are_read_as_they_are_written() {
        for (text, share) in [("fib@2", "100%"), ("fib@2:10%", "10%"), ("fib@2:0.05%", "0.05%")] {
            let promotion: Promotion = text.parse().unwrap();
            let read = (promotion.function.to_string(), promotion.share.to_string());
            assert_eq!(read, ("fib@2".to_owned(), share.to_owned()));
        }
        for text in ["fib", "fib:10%", "Fib@2", "@2", "", "fib@2@3:1%"] {
            assert_eq!(text.parse::<Promotion>(), Err(RolloutError::Promotion), "{text}");
        }
        for share in
            ["", "10", "101%", "100.01%", "-1%", "%", "1.234%", ".5%", "1.%", "+1%", "9999999%"]
        {
            let text = format!("fib@2:{share}");
            assert_eq!(text.parse::<Promotion>(), Err(RolloutError::Share), "{text}");
        }
        let shares = ["0%", "0.5%", "10%", "99.99%", "100%"];
        let again = |text: &str| text.parse::<Percent>().unwrap().to_string();
        assert_eq!(shares.map(again), shares);
    }

    #[test]
    fn shadows_are_read_as_they_are_written_and_make_sense() {
        for (text, share) in [("fib@1=fib@2", "100%"), ("fib@1=quick.fib@1:5%", "5%")] {
            let pair: Shadow = text.parse().unwrap();
            let read = (pair.live.to_string(), pair.share.to_string());
            assert_eq!(read, ("fib@1".to_owned(), share.to_owned()));
        }
        for text in ["fib@1", "fib@1=", "fib=fib@2:1%", "fib@1=fib:1%", "=fib@1", "a@1=b@1=c@1"] {
            assert_eq!(text.parse::<Shadow>(), Err(RolloutError::Shadow), "{text}");
        }
        assert_eq!("fib@1=fib@2:5".parse::<Shadow>(), Err(RolloutError::Share));
        let rollout = |texts: &[&str]| {
            Rollout::new(vec![], texts.iter().map(|text| text.parse().unwrap()).collect())
        };
        assert!(rollout(&["a@1=b@1", "a@1=b@2", "c@1=b@1", "b@1=a@1"]).is_ok());
        let [a, b] = ["a@1", "b@1"].map(|text| text.parse::<Address>().unwrap());
        assert_eq!(rollout(&["a@1=a@1"]), Err(RolloutError::Own(a.clone())));
        assert_eq!(rollout(&["a@1=b@1", "a@1=b@1:5%"]), Err(RolloutError::SamePair(b, a)));
        let many: Vec<String> = (0..17).map(|version| format!("a@1=b@{version}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(rollout(&many), Err(RolloutError::TooMany));
    }

    #[test]
    fn a_name_is_promoted_once() {
        let rollout = |texts: &[&str]| {
            Rollout::new(texts.iter().map(|text| text.parse().unwrap()).collect(), vec![])
        };
        assert!(rollout(&["fib@2:10%", "primes@2"]).is_ok());
        assert_eq!(rollout(&["fib@2", "fib@3"]), Err(RolloutError::Twice("fib".to_owned())));
    }
}
