//! The real nats-server behind a proxy, and a look into its streams that does not pass the proxy.

use std::net::SocketAddr;
use std::time::Instant;

use async_nats::jetstream::consumer::pull::OrderedConfig;
use async_nats::jetstream::{self, Context};
use ci_bridge::local_nats::LocalNats;
use futures_util::StreamExt;
use tokio::runtime::Runtime;

use crate::process::{Frozen, PATIENCE, eventually, free_port, signal};
use crate::proxy::Proxy;

pub(crate) struct Broker {
    nats: LocalNats,
    listen: String,
    pub(crate) proxy: Proxy,
    runtime: Runtime,
}

/// A message as a stream holds it.
pub(crate) struct Stored {
    pub(crate) subject: String,
    pub(crate) id: String,
    pub(crate) body: Vec<u8>,
}

/// A `max_payload` that most callbacks fit in.
pub(crate) const SMALL_PAYLOAD: &str = "max_payload: 98304";
/// What nats-server writes when SIGTERM has been dealt with.
const LAST_WORDS: &str = "Server Exiting..";

impl Broker {
    pub(crate) fn start() -> Self {
        // The last `listen` of the file wins.
        let listen = format!("listen: \"127.0.0.1:{}\"", free_port());
        let nats = LocalNats::start(&listen).expect("cargo xtask provides a nats-server");
        let address: SocketAddr = nats.url()["nats://".len()..].parse().expect("an address");
        let runtime = Runtime::new().expect("a runtime");
        Self { proxy: Proxy::start(address), nats, listen, runtime }
    }

    /// Where the bridge connects to.
    pub(crate) fn url(&self) -> String {
        format!("nats://{}", self.proxy.address)
    }

    pub(crate) fn kill(&mut self) {
        self.nats.kill().expect("nats-server can be killed");
    }

    pub(crate) fn terminate(&mut self) {
        let log = self.nats.folder().join("log");
        let exits = || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            text.matches(LAST_WORDS).count()
        };
        let before = exits();
        signal("TERM", self.nats.id());
        eventually("nats-server ends", || (exits() > before).then_some(()));
        self.kill();
    }

    pub(crate) fn freeze(&self) -> Frozen {
        Frozen::new(self.nats.id())
    }

    /// Starts it again on the same port, with further lines of configuration.
    pub(crate) fn restart(&mut self, configuration: &str) {
        let configuration = format!("{}\n{configuration}", self.listen);
        self.nats.restart(Some(&configuration)).expect("nats-server starts again");
    }

    /// Limits the stream to the messages that it holds; `false` lifts the limit.
    pub(crate) fn fill_stream(&self, full: bool) {
        self.runtime.block_on(async {
            let context = self.context().await;
            let mut stream = eventually_async(async || context.get_stream("CI").await.ok()).await;
            let info = stream.info().await.expect("the stream has a state");
            let mut config = info.config.clone();
            let held = i64::try_from(info.state.messages).unwrap_or(i64::MAX);
            config.max_messages = if full { held.max(1) } else { -1 };
            context.update_stream(config).await.expect("the stream can be changed");
        });
    }

    /// Everything in a stream, in its order.
    pub(crate) fn read(&self, stream: &str, mut each: impl FnMut(Stored)) {
        self.runtime.block_on(async {
            let context = self.context().await;
            let mut stream = context.get_stream(stream).await.expect("the stream exists");
            let count = stream.info().await.expect("the stream has a state").state.messages;
            if count == 0 {
                return;
            }
            let consumer = stream.create_consumer(OrderedConfig::default()).await;
            let mut messages = consumer.expect("a consumer").messages().await.expect("messages");
            for _ in 0..count {
                let next = tokio::time::timeout(PATIENCE, messages.next()).await;
                let message = next.expect("in time").expect("more").expect("a message");
                let headers = message.headers.as_ref();
                let id = headers.and_then(|headers| headers.get("Nats-Msg-Id"));
                each(Stored {
                    subject: message.subject.to_string(),
                    id: id.map(|id| id.as_str().to_owned()).unwrap_or_default(),
                    body: message.payload.to_vec(),
                });
            }
        });
    }

    async fn context(&self) -> Context {
        let url = self.nats.url();
        let client = eventually_async(async || async_nats::connect(&url).await.ok()).await;
        jetstream::new(client)
    }
}

/// nats-server listens before its streams are recovered.
async fn eventually_async<T>(attempt: impl AsyncFn() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = attempt().await {
            return value;
        }
        assert!(Instant::now() < deadline, "JetStream is not there within {PATIENCE:?}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
