//! Who is measured.

use std::fmt;
use std::str::FromStr;

use ci_bridge_bench::workload::Workload;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Contender {
    Http,
    Acknowledged,
    Message,
    Bridge,
    Naive,
    Vector,
    Go,
    Redpanda,
    Python,
    Node,
}

impl Contender {
    pub(crate) const ALL: [Self; 10] = [
        Self::Http,
        Self::Acknowledged,
        Self::Message,
        Self::Bridge,
        Self::Naive,
        Self::Vector,
        Self::Go,
        Self::Redpanda,
        Self::Python,
        Self::Node,
    ];

    /// As it can be typed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Acknowledged => "acknowledged",
            Self::Message => "message",
            Self::Bridge => "ci-bridge",
            Self::Naive => "naive",
            Self::Vector => "vector",
            Self::Go => "go",
            Self::Redpanda => "redpanda",
            Self::Python => "python",
            Self::Node => "node",
        }
    }

    /// As it stands in a table.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Http => "HTTP floor: hyper, no NATS",
            Self::Acknowledged => "floor: hyper, raw body, acknowledged",
            Self::Message => "floor: hyper, the same message, acknowledged",
            Self::Bridge => "ci-bridge, everything on",
            Self::Naive => "naive Rust: axum, serde, async-nats",
            Self::Vector => "Vector: http_server, nats; raw body",
            Self::Go => "Go: net/http, nats.go",
            Self::Redpanda => "Redpanda Connect: http_server, nats_jetstream; raw body",
            Self::Python => "Python: aiohttp, uvloop, nats-py",
            Self::Node => "Node: fastify, nats.js",
        }
    }

    /// The same in Chinese.
    pub(crate) fn chinese(self) -> &'static str {
        match self {
            Self::Http => "HTTP 下限：hyper，不经 NATS",
            Self::Acknowledged => "下限：hyper，原样发布，等待确认",
            Self::Message => "下限：hyper，发布相同的消息，等待确认",
            Self::Bridge => "ci-bridge，全部功能开启",
            Self::Naive => "朴素的 Rust 写法：axum、serde、async-nats",
            Self::Vector => "Vector：http_server、nats，原样发布",
            Self::Go => "Go：net/http、nats.go",
            Self::Redpanda => "Redpanda Connect：http_server、nats_jetstream，原样发布",
            Self::Python => "Python：aiohttp、uvloop、nats-py",
            Self::Node => "Node：fastify、nats.js",
        }
    }

    /// A program of others, or one written as others would.
    pub(crate) fn is_peer(self) -> bool {
        matches!(self, Self::Vector | Self::Go | Self::Redpanda | Self::Python | Self::Node)
    }

    /// Whether it is told where to listen, and says nothing of it; others choose a port and print it.
    pub(crate) fn is_told_its_address(self) -> bool {
        matches!(self, Self::Vector | Self::Redpanda)
    }

    pub(crate) fn publishes(self) -> bool {
        self != Self::Http
    }

    /// One message a callback, however many jobs it has.
    pub(crate) fn publishes_the_raw_body(self) -> bool {
        matches!(self, Self::Acknowledged | Self::Vector | Self::Redpanda)
    }

    /// Whether it is measured with a workload: a peer puts all of a callback into one NATS message; and of how they compare,
    /// one job tells enough.
    pub(crate) fn takes(self, workload: Workload) -> bool {
        match self {
            Self::Http | Self::Acknowledged | Self::Message | Self::Bridge => true,
            Self::Naive => !workload.is_large(),
            _ => matches!(workload, Workload::Xml | Workload::Json),
        }
    }

    /// Whether its answer times are measured below saturation as well.
    pub(crate) fn is_loaded_in_part(self) -> bool {
        matches!(self, Self::Acknowledged | Self::Message | Self::Bridge)
    }

    /// Most look at no path, and any will do.
    pub(crate) fn path(self, workload: Workload) -> String {
        match self {
            Self::Message => format!("/{workload}"),
            Self::Bridge => format!("/ci/callback/{TOKEN}"),
            _ => "/ci/callback".to_owned(),
        }
    }
}

/// The bridge's own, which every callback has to show.
pub(crate) const TOKEN: &str = "bench-2f6b1c9d4e8a7035";

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
