//! A share of calls, drawn by their ids.

use std::fmt;
use std::str::FromStr;

use simple_dist_protocol::JobId;

use super::rollout::RolloutError;

/// A share of calls, in hundredths of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percent(u16);

impl Percent {
    /// Every call.
    pub const ALL: Self = Self(10_000);

    /// Whether this call belongs to the share; draws with different salts are independent.
    pub(super) fn covers(self, job: JobId, salt: u64) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

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
