//! Who is measured.

use std::fmt;
use std::str::FromStr;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Contender {
    Http,
    Acknowledged,
    Bridge,
    Naive,
    Python,
    Node,
}

impl Contender {
    pub(crate) const ALL: [Self; 6] =
        [Self::Http, Self::Acknowledged, Self::Bridge, Self::Naive, Self::Python, Self::Node];

    /// As it can be typed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Acknowledged => "acknowledged",
            Self::Bridge => "ci-bridge",
            Self::Naive => "naive",
            Self::Python => "python",
            Self::Node => "node",
        }
    }

    /// As it stands in a table.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Http => "HTTP floor: hyper, no NATS",
            Self::Acknowledged => "floor: hyper, raw body, acknowledged",
            Self::Bridge => "ci-bridge, everything on",
            Self::Naive => "naive Rust: axum, serde, async-nats",
            Self::Python => "Python: aiohttp, uvloop, nats-py",
            Self::Node => "Node: fastify, nats.js",
        }
    }

    /// The same in Chinese.
    pub(crate) fn chinese(self) -> &'static str {
        match self {
            Self::Http => "HTTP 下限：hyper，不经 NATS",
            Self::Acknowledged => "下限：hyper，原样发布，等待确认",
            Self::Bridge => "ci-bridge，全部功能开启",
            Self::Naive => "朴素的 Rust 写法：axum、serde、async-nats",
            Self::Python => "Python：aiohttp、uvloop、nats-py",
            Self::Node => "Node：fastify、nats.js",
        }
    }

    pub(crate) fn publishes(self) -> bool {
        self != Self::Http
    }

    /// One message a callback, however many jobs it has.
    pub(crate) fn publishes_the_raw_body(self) -> bool {
        self == Self::Acknowledged
    }

    /// The floors look at no body, so any path will do.
    pub(crate) fn path(self) -> &'static str {
        if self == Self::Bridge { "/ci/callback/bench-2f6b1c9d4e8a7035" } else { "/ci/callback" }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Contender {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|contender| contender.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("there is no contender '{text}', but {names}")
        })
    }
}
