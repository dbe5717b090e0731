//! How often somebody may try: per network address and per account, in this process.

use contract::{Code, Problem};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock as _};
use std::{hash::Hash, net::IpAddr, num::NonZeroU32, time::Duration};

/// Tries of one account: ten at once, then one each six seconds.
const ACCOUNT: (NonZeroU32, Duration) = (NonZeroU32::new(10).unwrap(), Duration::from_secs(6));
/// Tries from one network address, which a whole office may share: sixty at once, then one a second.
const ADDRESS: (NonZeroU32, Duration) = (NonZeroU32::new(60).unwrap(), Duration::from_secs(1));
/// More keys than this, and those that are full again are forgotten.
const KEYS: usize = 10_000;

/// Counts tries at passwords and links.
pub struct Throttle {
    accounts: DefaultKeyedRateLimiter<String>,
    addresses: DefaultKeyedRateLimiter<IpAddr>,
}

impl Throttle {
    /// Nobody tried yet.
    #[must_use]
    pub fn new() -> Self {
        Self { accounts: limiter(ACCOUNT), addresses: limiter(ADDRESS) }
    }

    /// Counts a try at an account, by its e-mail address in any case, whether it exists or not.
    ///
    /// # Errors
    /// `TooManyRequests` with the seconds to wait.
    pub fn account(&self, email: &str) -> crate::Result<()> {
        let account = email.trim().to_lowercase();
        check(&self.accounts, &account, "Too many attempts to sign in to this account.")
    }

    /// Counts a try from a network address.
    ///
    /// # Errors
    /// `TooManyRequests` with the seconds to wait.
    pub fn address(&self, address: IpAddr) -> crate::Result<()> {
        check(&self.addresses, &address, "Too many attempts from your network address.")
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new()
    }
}

fn limiter<K: Hash + Eq + Clone>((burst, each): (NonZeroU32, Duration)) -> DefaultKeyedRateLimiter<K> {
    let quota = Quota::with_period(each).unwrap_or_else(|| Quota::per_second(burst));
    RateLimiter::keyed(quota.allow_burst(burst))
}

fn check<K: Hash + Eq + Clone>(limiter: &DefaultKeyedRateLimiter<K>, key: &K, message: &str) -> crate::Result<()> {
    if limiter.len() > KEYS {
        limiter.retain_recent();
    }
    limiter.check_key(key).map_err(|not_until| {
        let wait = not_until.wait_time_from(limiter.clock().now());
        let seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
        Problem::new(Code::TooManyRequests, message).remedy(format!("Wait {seconds} s, then try again.")).retry_after(seconds).into()
    })
}

#[cfg(test)]
mod tests {
    use super::Throttle;
    use crate::Error;
    use contract::Code;

    #[test]
    fn the_eleventh_try_at_an_account_waits_and_other_accounts_do_not() {
        let throttle = Throttle::new();
        for _ in 0..10 {
            throttle.account("ada@example.com").unwrap();
        }
        let Err(Error::Problem(problem)) = throttle.account(" ADA@example.com") else { panic!("an eleventh try was allowed") };
        assert_eq!(problem.code, Code::TooManyRequests);
        assert!((1..=7).contains(&problem.retry_after.unwrap()), "{problem:?}");
        throttle.account("grace@example.com").unwrap();
    }

    #[test]
    fn an_address_has_its_own_count() {
        let throttle = Throttle::new();
        let (one, other) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        for _ in 0..60 {
            throttle.address(one).unwrap();
        }
        assert!(throttle.address(one).is_err());
        throttle.address(other).unwrap();
    }
}
