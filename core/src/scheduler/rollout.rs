//! How the calls of a function move to a new version of it, as an operator sets it. Which way a call
//! goes depends on its id alone: sent again, or to another distributor with the same settings, it goes
//! the same way.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use simple_dist_protocol::{Address, JobId, Selector};

use super::Core;
use super::ids::FunctionRef;

/// What makes the draws for promotion independent of others.
const PROMOTION: u64 = 0x7072_6f6d_6f74_6501;

/// A share of calls, in hundredths of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percent(u16);

impl Percent {
    /// Every call.
    pub const ALL: Self = Self(10_000);

    /// Whether this call belongs to the share; draws with different salts are independent.
    fn covers(self, job: JobId, salt: u64) -> bool {
        let number = job.as_u128();
        // The finish of SplitMix64, which spreads each bit over all others.
        let mut mixed = (number >> 64) as u64 ^ number as u64 ^ salt;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % u64::from(Self::ALL.0) < u64::from(self.0)
    }

    /// The share of a whole: 0 to 1.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / f64::from(Self::ALL.0)
    }
}

/// `10%`, `0.5%`.
impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.0) / 100.0)
    }
}

impl FromStr for Percent {
    type Err = RolloutError;

    fn from_str(text: &str) -> Result<Self, RolloutError> {
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let share = text.strip_suffix('%').and_then(|number| {
            let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
            let fits = digits(whole) && digits(part) && (1..=2).contains(&part.len());
            let part: u16 = format!("{part:0<2}").parse().ok().filter(|_| fits)?;
            whole.parse::<u16>().ok()?.checked_mul(100)?.checked_add(part)
        });
        share.filter(|share| *share <= Self::ALL.0).map(Self).ok_or(RolloutError::Share)
    }
}

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

/// Why a setting cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RolloutError {
    /// It is not a promotion.
    #[error(
        "a promotion is a function with its version and a share, like fib@2:10%, or fib@2 for 100%"
    )]
    Promotion,
    /// It is not a share.
    #[error("a share is 0% to 100%, with two decimals at most, like 10% or 0.5%")]
    Share,
    /// Two promotions are of one name.
    #[error("{0} has two promotions, and can have one")]
    Twice(String),
}

/// How calls move to new versions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rollout {
    promotions: BTreeMap<String, Promotion>,
}

impl Rollout {
    /// With these promotions.
    ///
    /// # Errors
    ///
    /// Fails if two promotions are of the same name.
    pub fn new(promotions: Vec<Promotion>) -> Result<Self, RolloutError> {
        let mut rollout = Self::default();
        for promotion in promotions {
            let name = promotion.function.name().to_owned();
            if rollout.promotions.insert(name.clone(), promotion).is_some() {
                return Err(RolloutError::Twice(name));
            }
        }
        Ok(rollout)
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
        for (text, share) in [("fib@2", 10_000), ("fib@2:10%", 1000), ("fib@2:0.05%", 5)] {
            let promotion: Promotion = text.parse().unwrap();
            assert_eq!(
                (promotion.function.to_string().as_str(), promotion.share.0),
                ("fib@2", share)
            );
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
    fn a_name_is_promoted_once() {
        let rollout =
            |texts: &[&str]| Rollout::new(texts.iter().map(|text| text.parse().unwrap()).collect());
        assert!(rollout(&["fib@2:10%", "primes@2"]).is_ok());
        assert_eq!(rollout(&["fib@2", "fib@3"]), Err(RolloutError::Twice("fib".to_owned())));
    }

    #[test]
    fn a_share_is_about_as_large_as_it_says() {
        let share = |percent: u16, salt| {
            let covered =
                |number: &u128| Percent(percent * 100).covers(JobId::from_u128(*number), salt);
            (0..10_000).filter(covered).count()
        };
        assert_eq!((share(0, 1), share(100, 1)), (0, 10_000));
        assert_eq!(share(10, 1), 1042, "as docs/PURITY.md says");
        assert!((4800..5200).contains(&share(50, 2)), "{}", share(50, 2));
    }
}
