//! Values with a unit, and values that are never printed.

use std::fmt;
use std::net::SocketAddr;
use std::time;

use ci_bridge_publisher::units;
use ipnet::IpNet;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time: `"5s"`, `"250ms"`, `"2h"`, `"7d"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(time::Duration);

/// An amount of bytes: `"1MiB"`, `"64KiB"`, or a plain number of bytes; `"0B"` where no limit is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(bytesize::ByteSize);

/// A text that may hold a secret: it is never printed, in no log, error or report.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretText(String);

impl Duration {
    pub(super) const fn seconds(seconds: u64) -> Self {
        Self(time::Duration::from_secs(seconds))
    }

    /// As the standard library has it.
    #[must_use]
    pub fn get(self) -> time::Duration {
        self.0
    }
}

impl ByteSize {
    pub(super) const UNLIMITED: Self = Self(bytesize::ByteSize::b(0));

    pub(super) const fn mib(n: u64) -> Self {
        Self(bytesize::ByteSize::mib(n))
    }

    pub(super) const fn kib(n: u64) -> Self {
        Self(bytesize::ByteSize::kib(n))
    }

    /// In bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.0.as_u64()
    }
}

impl SecretText {
    /// The text itself: for whoever needs it, not for whoever reports it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing to keep.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&str> for SecretText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = TextOrNumber::read(
            deserializer,
            "a duration with its unit, such as \"5s\", \"250ms\" or \"2h\"",
        )?;
        let refused = |_| {
            D::Error::custom(format!(
                "{text:?} is no duration: write a number and a unit, such as \"5s\", \"250ms\" or \"2h\""
            ))
        };
        humantime::parse_duration(&text).map(Self).map_err(refused)
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(self.0))
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = TextOrNumber::read(deserializer, "a size with its unit, such as \"1MiB\"")?;
        let refused = |_| {
            D::Error::custom(format!(
                "{text:?} is no size: write a number and a unit, such as \"1MiB\" or \"64KiB\""
            ))
        };
        text.parse().map(Self).map_err(refused)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&units::bytes(self.bytes()))
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        TextOrNumber::read(deserializer, "a text").map(Self)
    }
}

impl Serialize for SecretText {
    /// The text itself: layers of configuration are merged in serialised form. Reports leave it out by its key.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// An address to listen on: `"127.0.0.1:8080"`.
pub(super) fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = TextOrNumber::read(deserializer, "an address and a port, such as \"127.0.0.1:8080\"")?;
    text.trim().parse().map_err(|_| {
        D::Error::custom(format!(
            "{text:?} is no address: write an IP address and a port, such as \"127.0.0.1:8080\" or \"[::]:8080\""
        ))
    })
}

/// Ranges of addresses: `["10.0.0.0/8"]`.
pub(super) fn ranges<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let range = |text: String| {
        text.trim().parse().map_err(|_| {
            D::Error::custom(format!(
                "{text:?} is no range of addresses: write one with its length, such as \"10.0.0.0/8\", or \"192.0.2.7/32\" for one address"
            ))
        })
    };
    texts.into_iter().map(range).collect()
}

/// Text, or a number that was meant as one: what comes from the environment has no types.
struct TextOrNumber {
    expected: &'static str,
}

impl TextOrNumber {
    fn read<'de, D: Deserializer<'de>>(deserializer: D, expected: &'static str) -> Result<String, D::Error> {
        deserializer.deserialize_any(Self { expected })
    }
}

impl Visitor<'_> for TextOrNumber {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<String, E> {
        Ok(number.to_string())
    }
}
