//! The real nats-server behind a proxy, and a look into its streams that does not pass the proxy.

use std::net::SocketAddr;
use std::time::Instant;

use async_nats::jetstream::consumer::pull::OrderedConfig;
use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectOptions};
use ci_bridge::local_nats::LocalNats;
use futures_util::StreamExt;
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::runtime::Runtime;

use crate::process::{Frozen, PATIENCE, eventually, signal};
use crate::proxy::Proxy;

pub(crate) struct Broker {
    nats: LocalNats,
    /// How often the bridge's password was replaced; the number is the password.
    password: u64,
    /// What stood in the stream of events each time that it was deleted.
    pub(crate) archives: Vec<Vec<Stored>>,
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
/// The user that the bridge connects as.
pub(crate) const USER: &str = "bridge";

/// What somebody may set up otherwise than before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Account {
    #[default]
    Usual,
    /// It may publish less than the server's `max_payload`, which the server says only when it is too late.
    SmallPayload,
    /// One subject that callbacks lead to is forbidden.
    ForbiddenSubject,
}
/// What nats-server writes when SIGTERM has been dealt with.
const LAST_WORDS: &str = "Server Exiting..";

impl Broker {
    pub(crate) fn start() -> Self {
        let nats =
            LocalNats::start(&accounts(Account::Usual, 0)).expect("cargo xtask provides a nats-server");
        let address: SocketAddr = nats.url()["nats://".len()..].parse().expect("an address");
        let runtime = Runtime::new().expect("a runtime");
        Self { proxy: Proxy::start(address), nats, runtime, password: 0, archives: Vec::new() }
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
        self.restart_as(Account::Usual, configuration);
    }

    /// Starts it again, with another account for the bridge.
    pub(crate) fn restart_as(&mut self, account: Account, configuration: &str) {
        let accounts = accounts(account, self.password);
        let configuration = format!("{accounts}\n{configuration}");
        self.nats.restart(Some(&configuration)).expect("nats-server starts again");
    }

    /// Chooses another password for the bridge; the server knows it after its next start.
    pub(crate) fn choose_password(&mut self) -> String {
        self.password += 1;
        self.password()
    }

    pub(crate) fn password(&self) -> String {
        password(self.password)
    }

    /// Changes settings of the stream of events, by the names that nats-server gives them.
    pub(crate) fn change_stream(&self, settings: &Value) {
        self.runtime.block_on(async {
            let client = self.client().await;
            let info = ask(&client, "$JS.API.STREAM.INFO.CI", &Value::Null).await;
            let mut config = info["config"].clone();
            for (name, value) in settings.as_object().expect("settings") {
                config[name] = value.clone();
            }
            let answer = ask(&client, "$JS.API.STREAM.UPDATE.CI", &config).await;
            assert!(answer["error"].is_null(), "{settings}: {answer}");
        });
    }

    /// Deletes the stream of events. It is sealed, so that nothing more comes to it, and its messages are kept.
    pub(crate) fn archive_and_delete_stream(&mut self) {
        let mut archive = Vec::new();
        self.read("CI", |stored| archive.push(stored));
        self.archives.push(archive);
        self.runtime.block_on(async {
            let answer = ask(&self.client().await, "$JS.API.STREAM.DELETE.CI", &Value::Null).await;
            assert_eq!(answer["success"], true, "{answer}");
        });
    }

    /// The sequence of the last message in the stream of events.
    pub(crate) fn last_sequence(&self) -> u64 {
        self.runtime.block_on(async {
            let info = ask(&self.client().await, "$JS.API.STREAM.INFO.CI", &Value::Null).await;
            info["state"]["last_seq"].as_u64().unwrap_or(0)
        })
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
                let header = |name| {
                    let value = headers.and_then(|headers| headers.get(name));
                    value.map(|value| value.as_str().to_owned())
                };
                let body = match header("Ci-Object") {
                    Some(object) => whole(&context, &object).await,
                    None => message.payload.to_vec(),
                };
                let id = header("Nats-Msg-Id").unwrap_or_default();
                each(Stored { subject: message.subject.to_string(), id, body });
            }
        });
    }

    async fn context(&self) -> Context {
        jetstream::new(self.client().await)
    }

    async fn client(&self) -> Client {
        let url = self.nats.url();
        let connect = async || {
            let options = ConnectOptions::with_user_and_password(USER.to_owned(), self.password());
            options.connect(&url).await.ok()
        };
        eventually_async(connect).await
    }
}

/// What a small message stands for, read by the client's own object store, which compares its digest.
async fn whole(context: &Context, object: &str) -> Vec<u8> {
    let (bucket, name) = object.split_once('/').expect("Ci-Object is <bucket>/<name>");
    let store = context.get_object_store(bucket).await.expect("the bucket exists");
    let mut object = store.get(name).await.expect("the object exists");
    let mut body = Vec::new();
    object.read_to_end(&mut body).await.expect("the object is whole");
    body
}

fn password(number: u64) -> String {
    format!("p{number}")
}

fn accounts(account: Account, number: u64) -> String {
    let limits = match account {
        Account::SmallPayload => "limits: { max_payload: 98304 }",
        Account::Usual | Account::ForbiddenSubject => "",
    };
    let permissions = match account {
        Account::ForbiddenSubject => "permissions: { publish: { deny: \"ci.task.Snapshot.>\" } }",
        Account::Usual | Account::SmallPayload => "",
    };
    let password = password(number);
    format!(
        "accounts {{ CI {{ jetstream: enabled, {limits}\n users: [{{ user: {USER}, password: {password}, {permissions} }}] }} }}"
    )
}

/// Asks JetStream's API in its own words, until it is there.
async fn ask(client: &Client, subject: &str, request: &Value) -> Value {
    let payload = if request.is_null() { String::new() } else { request.to_string() };
    let attempt = async || {
        let answer = client.request(subject.to_owned(), payload.clone().into()).await.ok()?;
        let answer: Value = serde_json::from_slice(&answer.payload).ok()?;
        // While streams are being recovered, none is found.
        (answer["error"]["err_code"] != 10059).then_some(answer)
    };
    eventually_async(attempt).await
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
