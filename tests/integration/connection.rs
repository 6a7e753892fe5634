//! The connection to NATS: credentials that change, servers that differ, and what is said when it cannot be made.

mod operator;
mod settings;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use nkeys::KeyPair;
use tempfile::TempDir;

use crate::support::{
    Authority, Bridge, LocalNats, ReservedPort, Streams, ci_bridge, eventually, nats, request, signal, task,
};
use operator::Operator;

fn ready_again(bridge: &Bridge, connections: f64) {
    eventually("connected anew", || {
        (bridge.metric("ci_bridge_nats_connections_total") >= connections).then_some(())
    });
    bridge.wait_until_ready();
}

fn reason(bridge: &Bridge, expected: &str) {
    eventually(expected, || bridge.get("/readyz").text().contains(expected).then_some(()));
}

fn user(password: &str) -> String {
    format!("authorization {{ user: b, password: {password:?} }}")
}

/// A folder with one file.
fn file(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    fs::write(&path, text).unwrap();
    (folder, path)
}

#[test]
fn a_password_that_is_replaced_on_both_sides_is_taken_without_a_restart() {
    let mut nats = LocalNats::start(&user("0ld-secret")).unwrap();
    let (_folder, path) = file("0ld-secret\n");
    let bridge =
        Bridge::start_towards(&nats.url(), &format!("[nats]\nuser = \"b\"\npassword_file = {path:?}\n"));
    bridge.wait_until_ready();
    nats.restart(Some(&user("n3w-secret"))).unwrap();
    reason(&bridge, &format!("authorization violation: NATS refuses the password in {}", path.display()));
    fs::write(&path, "").unwrap();
    reason(&bridge, "secret is empty: write the secret on its first line");
    fs::write(&path, "n3w-secret\n").unwrap();
    bridge.wait_until_ready();
    let (_, log) = bridge.terminate();
    assert!(!log.contains("0ld-secret") && !log.contains("n3w-secret"), "{log}");
}

#[test]
fn a_file_that_changes_is_used_at_once_and_half_a_file_is_not() {
    let [old, new] = [KeyPair::new_user(), KeyPair::new_user()];
    let users = [&old, &new].map(|key| format!("{{ nkey: {} }}", key.public_key())).join(", ");
    let nats = LocalNats::start(&format!("authorization {{ users: [{users}] }}")).unwrap();
    let (_folder, path) = file(&old.seed().unwrap());
    let bridge = Bridge::start_towards(&nats.url(), &format!("[nats]\nnkey_file = {path:?}\n"));
    bridge.wait_until_ready();
    let reloads = |outcome: &str| bridge.metric(&format!("ci_bridge_reloads_total{{outcome=\"{outcome}\"}}"));
    fs::write(&path, &new.seed().unwrap()[..20]).unwrap();
    eventually("refused", || (reloads("refused") >= 1.0).then_some(()));
    // The connection stands.
    bridge.wait_until_ready();
    fs::write(&path, new.seed().unwrap()).unwrap();
    ready_again(&bridge, 2.0);
    // Before it is asked: it may be done by the time that one looks.
    let applied = reloads("applied");
    signal("HUP", bridge.id());
    eventually("nothing is new", || (reloads("applied") > applied).then_some(()));
    assert_eq!(bridge.metric("ci_bridge_nats_connections_total"), 2.0);
    let (_, log) = bridge.terminate();
    assert!(log.contains("connecting with what they hold now"), "{log}");
    assert!(log.contains("nats.nkey_file: ") && log.contains("holds no NKey seed"), "{log}");
}

#[test]
fn an_expired_jwt_is_said_by_name_and_a_new_one_is_taken() {
    let operator = Operator::new();
    let nats = LocalNats::start(&operator.server_config()).unwrap();
    let (_folder, path) = file(&operator.creds(-60));
    let bridge = Bridge::start_towards(&nats.url(), &format!("[nats]\ncreds_file = {path:?}\n"));
    reason(&bridge, &format!("the user JWT \\\"ci\\\" in {} expired at 20", path.display()));
    fs::write(&path, Operator::new().creds(3600)).unwrap();
    reason(&bridge, &format!("authorization violation: NATS refuses the credentials in {}", path.display()));
    fs::write(&path, operator.creds(3600)).unwrap();
    bridge.wait_until_ready();
    fs::write(&path, operator.creds(7200)).unwrap();
    ready_again(&bridge, 2.0);
}

fn tls_section(files: &Authority, more: &str) -> String {
    let file = |name: &str| files.file(name);
    format!("tls {{ cert_file: {:?}, key_file: {:?}, {more} }}", file("nats.pem"), file("nats.key"))
}

#[test]
fn tls_files_are_read_at_each_connect_and_a_bad_one_is_said() {
    let [old, new] = [Authority::new(), Authority::new()];
    for authority in [&old, &new] {
        authority.sign("nats");
        authority.sign("bridge");
    }
    let server =
        |ours: &Authority| tls_section(ours, &format!("ca_file: {:?}, verify: true", ours.file("ca.pem")));
    let mut nats = LocalNats::start(&server(&old)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let [ca, cert, key] = ["ca.pem", "bridge.pem", "bridge.key"].map(|name| folder.path().join(name));
    let take = |from: &Authority, name: &str| fs::copy(from.file(name), folder.path().join(name)).unwrap();
    for name in ["ca.pem", "bridge.pem", "bridge.key"] {
        take(&old, name);
    }
    let configuration = format!("[nats.tls]\nca = {ca:?}\ncert = {cert:?}\nkey = {key:?}\n");
    let bridge = Bridge::start_towards(&nats.url(), &configuration);
    bridge.wait_until_ready();
    nats.restart(Some(&server(&new))).unwrap();
    reason(&bridge, "failed: invalid peer certificate: ");
    fs::write(&ca, "").unwrap();
    reason(&bridge, "ca.pem holds no certificate");
    take(&new, "ca.pem");
    reason(&bridge, "the server refuses the client certificate in nats.tls.cert");
    take(&new, "bridge.pem");
    reason(&bridge, "bridge.key is not the key of the certificate in ");
    take(&new, "bridge.key");
    bridge.wait_until_ready();
}

#[test]
fn what_keeps_the_connection_from_being_made_is_told_apart() {
    let (ours, other) = (Authority::new(), Authority::new());
    ours.sign("nats");
    ours.sign("bridge");
    other.sign("bridge");
    let mut closed = nats();
    closed.kill().unwrap();
    let guarded = LocalNats::start(&user("p")).unwrap();
    let tls = LocalNats::start(&tls_section(&ours, "")).unwrap();
    let verify = format!("ca_file: {:?}, verify: true", ours.file("ca.pem"));
    let mutual = LocalNats::start(&tls_section(&ours, &verify)).unwrap();
    let frozen = nats();
    signal("STOP", frozen.id());
    // No name may have so long a part: it is refused without asking anybody.
    let nowhere = format!("nats://{}.test:4222", "x".repeat(64));
    let trusting = |authority: &Authority| format!("[nats.tls]\nca = {:?}\n", authority.file("ca.pem"));
    let stranger = format!(
        "{}cert = {:?}\nkey = {:?}\n",
        trusting(&ours),
        other.file("bridge.pem"),
        other.file("bridge.key")
    );
    let wrong = "[nats]\nuser = \"b\"\npassword = \"wrong\"\n".to_owned();
    let rows = [
        (closed.url(), String::new(), ": connection refused"),
        (guarded.url(), String::new(), "NATS asks for credentials, and none are configured"),
        (guarded.url(), wrong, "authorization violation: NATS refuses the user and password"),
        (tls.url(), trusting(&other), "failed: invalid peer certificate: "),
        (guarded.url(), trusting(&ours), "the server does not speak TLS here"),
        (mutual.url(), trusting(&ours), "the server wants a client certificate: set nats.tls.cert"),
        (mutual.url(), stranger, "the server refuses the client certificate in nats.tls.cert"),
        (frozen.url(), String::new(), "timed out: within 2 s, the server says nothing"),
        (nowhere, String::new(), ".test leads to no address (DNS)"),
    ];
    let bridges: Vec<_> =
        rows.iter().map(|(url, configuration, _)| Bridge::start_towards(url, configuration)).collect();
    for (bridge, (_, _, expected)) in bridges.iter().zip(&rows) {
        reason(bridge, expected);
        let text = bridge.get("/readyz").text();
        let others = rows.iter().filter(|(_, _, other)| other != expected && text.contains(other));
        assert_eq!(others.count(), 0, "{text}");
    }
    signal("CONT", frozen.id());
    bridges[7].wait_until_ready();
}

#[test]
fn each_server_is_given_its_own_credentials() {
    let user = |name: &str| format!("authorization {{ user: {name}, password: p{name} }}");
    let mut servers = ["a", "b"].map(|name| LocalNats::start(&user(name)).unwrap());
    let url = |at: usize, user: &str| servers[at].url().replace("nats://", &format!("nats://{user}@"));
    let urls = format!("{},{}", url(0, "a:pa"), url(1, "b:pb"));
    let bridge = Bridge::start_towards(&urls, "");
    bridge.wait_until_ready();
    // Whichever it is connected to, it must move at least once.
    for gone in [0, 1] {
        servers[gone].kill().unwrap();
        eventually("published to the other", || {
            (bridge.post(task("j")).json()["outcome"] == "published").then_some(())
        });
        servers[gone].restart(None).unwrap();
    }
    assert!(bridge.metric("ci_bridge_nats_connections_total") >= 2.0);
    for server in &mut servers {
        server.kill().unwrap();
    }
    reason(&bridge, "connection refused; ");
}

#[test]
fn a_frozen_server_does_not_stand_before_the_others() {
    let (frozen, good) = (nats(), nats());
    signal("STOP", frozen.id());
    let bridge = Bridge::start_towards(&format!("{},{}", frozen.url(), good.url()), "");
    bridge.wait_until_ready();
}

#[test]
fn a_server_that_is_about_to_go_is_left_for_one_that_it_does_not_announce() {
    // It would close the connection only after this.
    let config = "lame_duck_grace_period: \"60s\"\nlame_duck_duration: \"120s\"";
    let servers = [LocalNats::start(config).unwrap(), LocalNats::start(config).unwrap()];
    let bridge = Bridge::start_towards(&servers.each_ref().map(LocalNats::url).join(","), "");
    bridge.wait_until_ready();
    let is_here = |server: &LocalNats| Streams::of(server).config("CI").is_some();
    let (here, there) = if is_here(&servers[0]) { (0, 1) } else { (1, 0) };
    signal("USR2", servers[here].id());
    eventually("moved", || is_here(&servers[there]).then_some(()));
}

/// A server without TLS that lets nobody in, and keeps what it is sent.
fn plain_server() -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, heard) = (listener.local_addr().unwrap(), Arc::default());
    let keep = Arc::<Mutex<Vec<u8>>>::clone(&heard);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let info =
                r#"{"server_id":"X","version":"2.10.0","max_payload":1048576,"headers":true,"proto":1}"#;
            let _ = write!(stream, "INFO {info}\r\n");
            let mut buffer = [0; 4096];
            let count = stream.read(&mut buffer).unwrap_or(0);
            keep.lock().unwrap().extend_from_slice(&buffer[..count]);
            let _ = write!(stream, "-ERR 'Unknown Protocol Operation'\r\n");
        }
    });
    (address, heard)
}

/// What a server says first.
fn info(nats: &LocalNats) -> String {
    let stream = TcpStream::connect(nats.url().trim_start_matches("nats://")).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
}

/// `ci-bridge serve` in an environment; killed when dropped.
struct Served {
    child: Child,
    admin: SocketAddr,
    _folder: TempDir,
}

impl Served {
    fn start(environment: &[(&str, &str)]) -> Self {
        let mut command = ci_bridge();
        command.arg("serve").envs(environment.iter().copied());
        Self::spawn(command)
    }

    /// `command` is `serve` with what it needs, but for its ports.
    fn spawn(mut command: Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]).current_dir(folder.path());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let admin = line.trim().rsplit("://").next().unwrap().parse().unwrap();
        Self { child, admin, _folder: folder }
    }

    fn readiness(&self) -> (u16, String) {
        let answer = request(self.admin, "GET", "/readyz", &[], b"");
        (answer.status, answer.text())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_failover_from_tls_is_never_to_plain_text() {
    let ours = Authority::new();
    ours.sign("nats");
    let (plain, heard) = plain_server();
    // The other server of the cluster gives the plain one for its own address.
    let route = ReservedPort::new().unwrap();
    let member = |name: &str, listen: &str, more: &str| {
        let cluster = format!("cluster {{ name: c, listen: {listen:?}, routes: [\"nats://{route}\"] }}");
        LocalNats::start(&format!("jetstream: false\nserver_name: {name}\n{cluster}\n{more}")).unwrap()
    };
    let _other = member("n2", &route.to_string(), &format!("client_advertise: \"{plain}\""));
    let mut nats = member("n1", "127.0.0.1:-1", &format!("{}\n{}", user("s3cret"), tls_section(&ours, "")));
    eventually("announced", || info(&nats).contains(&plain.to_string()).then_some(()));
    let url = nats.url().replace("nats://", "tls://b:s3cret@");
    let bridge = Served::start(&[
        ("NATS_URL", &url),
        // The system's authorities, and no file of [nats.tls]: the URL alone asks for TLS.
        ("SSL_CERT_FILE", ours.file("ca.pem").to_str().unwrap()),
        ("CI_BRIDGE__DELIVERY", "core"),
    ]);
    eventually("ready", || (bridge.readiness().0 == 200).then_some(()));
    nats.kill().unwrap();
    let first = eventually("the plain server is tried", || heard.lock().unwrap().first().copied());
    assert_eq!(first, 0x16, "a TLS handshake");
    eventually("said", || bridge.readiness().1.contains("the server does not speak TLS here").then_some(()));
    let heard = heard.lock().unwrap();
    let leaked =
        ["CONNECT", "s3cret"].iter().any(|word| heard.windows(word.len()).any(|at| at == word.as_bytes()));
    assert!(!leaked, "{}", String::from_utf8_lossy(&heard));
}

#[test]
fn a_server_that_wants_tls_first_is_given_it() {
    let ours = Authority::new();
    ours.sign("nats");
    let nats = LocalNats::start(&tls_section(&ours, "handshake_first: true")).unwrap();
    let ca = format!("[nats.tls]\nca = {:?}\n", ours.file("ca.pem"));
    let bridge = Bridge::start_towards(&nats.url(), &ca);
    reason(&bridge, "nats.tls_first");
    let bridge = Bridge::start_towards(&nats.url(), &format!("[nats]\ntls_first = true\n{ca}"));
    bridge.wait_until_ready();
}
