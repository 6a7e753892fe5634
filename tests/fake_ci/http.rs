//! The fake's side of the wire: requests, signatures, and answers that are broken on purpose.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::sync::Mutex;

use ci_bridge_tencent::{Keys, Signed, authorization};

use super::world::{Answer, World, refused};
use super::{BUCKET, Fault, REGION, SECRET_ID, SECRET_KEY};

/// Above what any client should read of an answer.
const OVERSIZE: usize = 40 * 1024 * 1024;

struct Request {
    method: String,
    path: String,
    parameters: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
}

/// Answers until the client goes.
pub(super) fn serve(stream: impl Read + Write, world: &Mutex<World>) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = Request::read(&mut reader) {
        let fault = {
            let mut world = world.lock().expect("no test panics with it");
            world.asked.push(request.path.clone());
            world.fault(&request.path)
        };
        if answer(reader.get_mut(), world, &request, fault.as_ref()).is_err() {
            return;
        }
    }
}

fn answer(
    writer: &mut impl Write,
    world: &Mutex<World>,
    request: &Request,
    fault: Option<&Fault>,
) -> std::io::Result<()> {
    if let Some(Fault::Slow(time)) = fault {
        std::thread::sleep(*time);
    }
    let mut world = world.lock().expect("no test panics with it");
    let (status, body) = match fault {
        Some(Fault::Busy(status, _)) => (*status, String::new()),
        Some(Fault::Redirected) => (302, String::new()),
        Some(Fault::Refused(status, code, message)) => refused(*status, code, message),
        Some(Fault::Oversized) => (200, format!("<Response><A>{}</A></Response>", "x".repeat(OVERSIZE))),
        Some(Fault::NotYet) => (200, "<Response><NonExistJobIds>none</NonExistJobIds></Response>".to_owned()),
        Some(Fault::Circle) => {
            let (status, body) = world.answer(&request.path, &request.parameters);
            let body = body.split("<NextToken>").next().unwrap_or_default();
            (status, format!("{}<NextToken>7</NextToken></Response>", body.trim_end_matches("</Response>")))
        }
        Some(Fault::Endless) => (200, world.page_without_end()),
        Some(Fault::Cut | Fault::CutXml | Fault::Slow(_)) | None => {
            request.refusal(&world).unwrap_or_else(|| world.answer(&request.path, &request.parameters))
        }
    };
    let further = match fault {
        Some(Fault::Busy(_, Some(seconds))) => format!("Retry-After: {seconds}\r\n"),
        Some(Fault::Redirected) => "Location: http://127.0.0.1:1/jobs\r\n".to_owned(),
        _ => String::new(),
    };
    let date = date(world.now());
    drop(world);
    let body = if matches!(fault, Some(Fault::CutXml)) { &body[..body.len() / 2] } else { body.as_str() };
    let head = format!(
        "HTTP/1.1 {status} _\r\nContent-Type: application/xml\r\nContent-Length: {}\r\nDate: {date}\r\n\
         Server: tencent-ci\r\nx-ci-request-id: NjMxMDJhYTNfMThhYTk0MGFfYmU1OV8zZjc=\r\n{further}\r\n",
        body.len()
    );
    writer.write_all(head.as_bytes())?;
    if matches!(fault, Some(Fault::Cut)) {
        writer.write_all(&body.as_bytes()[..body.len() / 2])?;
        return Err(std::io::ErrorKind::ConnectionReset.into());
    }
    writer.write_all(body.as_bytes())
}

impl Request {
    fn read(reader: &mut impl BufRead) -> Option<Self> {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
        let mut words = line.split_whitespace();
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let parameters = pairs.map(|(name, value)| (decoded(name), decoded(value))).collect();
        Some(Self { method, path: decoded(path), parameters, headers })
    }

    /// Why it is not answered: by its host, its key, its time or its signature.
    fn refusal(&self, world: &World) -> Option<Answer> {
        let header = |name: &str| self.headers.get(name).map_or("", String::as_str);
        if header("host") != format!("{BUCKET}.ci.{REGION}.myqcloud.com") {
            return Some(refused(404, "NoSuchBucket", "The specified bucket does not exist."));
        }
        let given: BTreeMap<_, _> =
            header("authorization").split('&').filter_map(|pair| pair.split_once('=')).collect();
        let of = |name: &str| given.get(name).copied().unwrap_or_default();
        if of("q-ak") != SECRET_ID {
            return Some(refused(
                403,
                "InvalidAccessKeyId",
                "The Access Key Id you provided does not exist.",
            ));
        }
        let (start, end) = of("q-key-time").split_once(';')?;
        let (start, end) = (start.parse().ok()?, end.parse().ok()?);
        let now = u64::try_from(world.now()).unwrap_or_default();
        if !(start..=end).contains(&now) {
            return Some(refused(403, "AccessDenied", "Request has expired"));
        }
        let parameters: Vec<_> = self.parameters.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let names: Vec<_> = of("q-header-list").split(';').collect();
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .filter(|(n, _)| names.contains(n))
            .collect();
        let signed = Signed {
            method: &self.method,
            path: &self.path,
            parameters: &parameters,
            headers: &headers,
            valid: (start, end),
        };
        let expected = authorization(&Keys::lasting(SECRET_ID, SECRET_KEY), &signed);
        let is_signed = expected == header("authorization") && names.contains(&"host");
        (!is_signed).then(|| refused(403, "SignatureDoesNotMatch", "The Signature you specified is invalid."))
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits: Vec<u8> = rest.by_ref().take(2).collect();
                let digits = std::str::from_utf8(&digits).unwrap_or_default();
                bytes.push(u8::from_str_radix(digits, 16).unwrap_or(b'?'));
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// As HTTP has it; which day of the week it is, nobody looks at.
fn date(seconds: i64) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let days = seconds.div_euclid(86_400);
    let second = seconds.rem_euclid(86_400);
    let (year, month, day) = super::world::date_of(days);
    let index = |n: i64| usize::try_from(n).unwrap_or_default();
    format!(
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        DAYS[index(days.rem_euclid(7))],
        MONTHS[index(month - 1)],
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}
