//! A bucket and where it is: `media-1250000000@ap-beijing`.

use std::fmt;
use std::str::FromStr;

/// A bucket of COS. Its parts can stand in a host's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bucket {
    name: String,
    region: String,
}

/// A text that names no bucket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} names no bucket: write its name with the APPID, and its region, as in media-1250000000@ap-beijing"
)]
pub struct BucketError(String);

/// The longest label of a host's name, in bytes.
const LONGEST_LABEL: usize = 63;

impl Bucket {
    /// With its APPID: `media-1250000000`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `ap-beijing`, …
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The host that answers for it.
    #[must_use]
    pub fn host(&self) -> String {
        format!("{}.ci.{}.myqcloud.com", self.name, self.region)
    }
}

impl FromStr for Bucket {
    type Err = BucketError;

    fn from_str(text: &str) -> Result<Self, BucketError> {
        let is_label = |text: &str| {
            let bytes = text.as_bytes();
            bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
                && (1..=LONGEST_LABEL).contains(&bytes.len())
                && !text.starts_with('-')
                && !text.ends_with('-')
        };
        let ends_in_app_id = |name: &str| {
            name.rsplit_once('-')
                .is_some_and(|(_, id)| id.len() > 4 && id.bytes().all(|b| b.is_ascii_digit()))
        };
        match text.split_once('@') {
            Some((name, region)) if is_label(name) && ends_in_app_id(name) && is_label(region) => {
                Ok(Self { name: name.to_owned(), region: region.to_owned() })
            }
            _ => Err(BucketError(text.to_owned())),
        }
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.region)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_stand_in_a_host_is_a_bucket() {
        let bucket: Bucket = "media-1250000000@ap-beijing".parse().unwrap();
        assert_eq!(bucket.host(), "media-1250000000.ci.ap-beijing.myqcloud.com");
        assert_eq!(bucket.to_string(), "media-1250000000@ap-beijing");
        for text in [
            "",
            "media-1250000000",
            "@ap-beijing",
            "media-1250000000@",
            "media@ap-beijing",
            "Media-1250000000@ap-beijing",
            "media-1250000000@ap-beijing@x",
            "media-1250000000@ap.example.com",
            "a/b-1250000000@ap-beijing",
            "media-1250000000@evil.example/",
            "-1250000000@ap-beijing",
        ] {
            assert!(text.parse::<Bucket>().is_err(), "{text}");
        }
    }
}
