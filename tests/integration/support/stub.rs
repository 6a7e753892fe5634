//! A server that speaks just enough of NATS to give the answers that a real one gives rarely.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What the stub answers to publishes.
pub(crate) struct Stub {
    port: u16,
    /// Answers to come; the last is repeated.
    script: Arc<Mutex<Vec<&'static str>>>,
    published: Arc<Mutex<Vec<String>>>,
}

const INFO: &str = r#"INFO {"server_id":"STUB","server_name":"stub","version":"2.10.0","go":"go","host":"127.0.0.1","port":0,"headers":true,"max_payload":1048576,"proto":1,"jetstream":true}"#;

impl Stub {
    /// Starts with answers to the first publishes; the last one is the answer to all that follow.
    pub(crate) fn start(script: &[&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let script = Arc::new(Mutex::new(script.to_vec()));
        let published = Arc::new(Mutex::new(Vec::new()));
        let stub = Self { port, script: Arc::clone(&script), published: Arc::clone(&published) };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, published) = (Arc::clone(&script), Arc::clone(&published));
                // The client's end of the connection is this one's end.
                thread::spawn(move || serve(stream, &script, &published));
            }
        });
        stub
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The message ids that were published, in order.
    pub(crate) fn published(&self) -> Vec<String> {
        self.published.lock().unwrap().clone()
    }

    pub(crate) fn answer_from_now_on(&self, answer: &'static str) {
        *self.script.lock().unwrap() = vec![answer];
    }
}

fn serve(
    mut stream: TcpStream,
    script: &Mutex<Vec<&'static str>>,
    published: &Mutex<Vec<String>>,
) -> Option<()> {
    writeln!(stream, "{INFO}\r").ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut sid = String::new();
    let mut line = String::new();
    while reader.read_line(&mut line).ok()? > 0 {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["PING"] => write!(stream, "PONG\r\n").ok()?,
            // Acknowledgements go to the inbox; the bridge listens elsewhere as well.
            ["SUB", subject, id] if subject.starts_with("_INBOX.") => sid = (*id).to_owned(),
            ["PUB", subject, reply, size] => {
                read_payload(&mut reader, size)?;
                answer(&mut stream, reply, &sid, &stream_info(subject))?;
            }
            ["HPUB", _, reply, _, size] => {
                let payload = read_payload(&mut reader, size)?;
                let id =
                    payload.lines().find_map(|line| line.strip_prefix("Nats-Msg-Id: ")).unwrap_or_default();
                published.lock().unwrap().push(id.trim().to_owned());
                let next = next_answer(script);
                if !next.is_empty() {
                    answer(&mut stream, reply, &sid, next)?;
                }
            }
            _ => {}
        }
        line.clear();
    }
    Some(())
}

fn read_payload(reader: &mut impl Read, size: &str) -> Option<String> {
    let mut bytes = vec![0; size.parse::<usize>().ok()? + 2];
    reader.read_exact(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn next_answer(script: &Mutex<Vec<&'static str>>) -> &'static str {
    let mut script = script.lock().unwrap();
    if script.len() > 1 { script.remove(0) } else { script[0] }
}

fn answer(stream: &mut TcpStream, reply: &str, sid: &str, payload: &str) -> Option<()> {
    match payload.strip_prefix("status ") {
        Some(status) => {
            let headers = format!("NATS/1.0 {status}\r\n\r\n");
            write!(stream, "HMSG {reply} {sid} {0} {0}\r\n{headers}\r\n", headers.len()).ok()
        }
        None => write!(stream, "MSG {reply} {sid} {}\r\n{payload}\r\n", payload.len()).ok(),
    }
}

fn stream_info(subject: &str) -> String {
    let name = subject.rsplit('.').next().unwrap_or_default();
    if name.starts_with("OBJ_") {
        return r#"{"error":{"code":404,"err_code":10059,"description":"stream not found"}}"#.to_owned();
    }
    let subjects = if name == "CI" { "ci.>" } else { "ci-quarantine.>" };
    format!(
        r#"{{"type":"io.nats.jetstream.api.v1.stream_info_response","created":"2026-01-01T00:00:00Z","config":{{"name":"{name}","subjects":["{subjects}"],"retention":"limits","max_consumers":-1,"max_msgs":-1,"max_bytes":-1,"max_age":0,"max_msgs_per_subject":-1,"max_msg_size":-1,"discard":"old","storage":"file","num_replicas":3,"duplicate_window":7200000000000}},"state":{{"messages":0,"bytes":0,"first_seq":0,"first_ts":"0001-01-01T00:00:00Z","last_seq":0,"last_ts":"0001-01-01T00:00:00Z","consumer_count":0}}}}"#
    )
}
