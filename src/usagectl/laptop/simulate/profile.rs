//! The loads on the command line of `simulate` and `local`.

use clap::ValueEnum;
use laptop::proof::load::ProfileName;

/// A load profile on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Profile {
    /// Customers, orders and order lines in one table
    Orders,
    /// Rate-limiter buckets in zae-limiter's format
    Bucket,
    /// Messages of a race, in a Kinesis stream
    Alleycat,
    /// API requests and subscriptions in one table
    ApiUsage,
    /// Groups, findings and vulnerabilities in one table, with indicators
    Findings,
    /// Items of your own table, made from a sample
    Own,
}

impl Profile {
    /// The shipped load; `None` for that of your own table.
    pub fn shipped(self) -> Option<ProfileName> {
        match self {
            Profile::Orders => Some(ProfileName::Orders),
            Profile::Bucket => Some(ProfileName::Bucket),
            Profile::Alleycat => Some(ProfileName::Alleycat),
            Profile::ApiUsage => Some(ProfileName::ApiUsage),
            Profile::Findings => Some(ProfileName::Findings),
            Profile::Own => None,
        }
    }
}
