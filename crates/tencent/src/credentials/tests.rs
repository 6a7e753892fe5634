use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// Answers by the beginning of what it is asked, and counts.
async fn service(answers: Vec<(&'static str, String)>) -> (Origin, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = Origin::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 8192];
            let length = stream.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            count.fetch_add(1, Ordering::Relaxed);
            let answer = answers.iter().find(|(start, _)| request.starts_with(start));
            let (status, body) = answer.map_or(("404 Not Found", ""), |(_, body)| ("200 OK", body.as_str()));
            let head =
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all((head + body).as_bytes()).await.unwrap();
        }
    });
    (origin, asked)
}

fn credentials(
    file: Option<PathBuf>,
    variables: &[(&str, &str)],
    sts: Origin,
    metadata: Origin,
) -> Credentials {
    let variables: HashMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let variable = Box::new(move |name: &str| variables.get(name).cloned());
    Credentials::new(Sources { file, variable, sts, metadata }, Duration::from_secs(5))
}

fn nobody() -> Origin {
    // Reserved: nobody listens there.
    Origin::parse("http://127.0.0.1:1").unwrap()
}

fn in_seconds(seconds: u64) -> u64 {
    (SystemTime::now() + Duration::from_secs(seconds))
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

const ENVIRONMENT: &[(&str, &str)] =
    &[("TENCENTCLOUD_SECRET_ID", "id-e"), ("TENCENTCLOUD_SECRET_KEY", "key-e")];

#[tokio::test]
async fn a_file_goes_before_all_else_and_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.toml");
    std::fs::write(&path, "secret_id = \"id-1\"\nsecret_key = \"key-1\"\n").unwrap();
    let credentials = credentials(Some(path.clone()), ENVIRONMENT, nobody(), nobody());
    assert!(credentials.keys().await.unwrap() == Keys::lasting("id-1", "key-1"));
    std::fs::write(&path, "secret_id = \"id-2\"\nsecret_key = \"key-2\"\ntoken = \"t\"\n").unwrap();
    let keys = credentials.keys().await.unwrap();
    assert_eq!((keys.secret_id(), keys.token()), ("id-2", Some("t")));
    for (text, expected) in [
        ("secret_id = \"id\"\nsecret_key = hush\n", "line 2 is not as it should be"),
        ("secret_id = \"id\"\nsecret_key = \"\"\n", "is empty"),
        ("secret_id = \"id\"\nsecret_key = \"hush\"\nsecretkey = \"hush\"\n", "is not as it should be"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = credentials.keys().await.unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("hush"), "{error}");
    }
    std::fs::remove_file(&path).unwrap();
    assert!(credentials.keys().await.is_err(), "what was configured is not passed over");
}

#[tokio::test]
async fn the_environment_is_next_and_half_of_it_is_an_error() {
    let whole = credentials(None, ENVIRONMENT, nobody(), nobody());
    assert!(whole.keys().await.unwrap() == Keys::lasting("id-e", "key-e"));
    let half = credentials(None, &ENVIRONMENT[..1], nobody(), nobody()).keys().await.unwrap_err().to_string();
    assert!(half.contains("belong together"), "{half}");
    let none = credentials(None, &[], nobody(), nobody()).keys().await.unwrap_err().to_string();
    assert!(none.contains("no TENCENTCLOUD_SECRET_ID") && none.contains("no CVM"), "{none}");
}

#[tokio::test]
async fn the_role_of_a_machine_is_fetched_again_before_it_expires() {
    let path = "GET /latest/meta-data/cam/security-credentials/";
    let keys = |seconds| {
        format!(
            r#"{{"TmpSecretId":"id-m","TmpSecretKey":"key-m","Token":"t-m","ExpiredTime":{},"Code":"Success"}}"#,
            in_seconds(seconds)
        )
    };
    for (seconds, requests) in [(7200, 2), (500, 4)] {
        let answers = vec![
            ("GET /latest/meta-data/cam/security-credentials/role-1", keys(seconds)),
            (path, "role-1".to_owned()),
        ];
        let (origin, asked) = service(answers).await;
        let credentials = credentials(None, &[], nobody(), origin);
        for _ in 0..2 {
            let keys = credentials.keys().await.unwrap();
            assert_eq!((keys.secret_id(), keys.secret_key(), keys.token()), ("id-m", "key-m", Some("t-m")));
        }
        assert_eq!(asked.load(Ordering::Relaxed), requests, "with {seconds} s left");
    }
}

#[tokio::test]
async fn a_pods_identity_is_exchanged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "web-identity\n").unwrap();
    let variables = [
        ("TKE_REGION", "ap-beijing"),
        ("TKE_PROVIDER_ID", "cls-1"),
        ("TKE_WEB_IDENTITY_TOKEN_FILE", path.to_str().unwrap()),
        ("TKE_ROLE_ARN", "qcs::cam::uin/1:roleName/r"),
    ];
    let answer = format!(
        r#"{{"Response":{{"Credentials":{{"Token":"t-s","TmpSecretId":"id-s","TmpSecretKey":"key-s"}},"ExpiredTime":{},"RequestId":"r"}}}}"#,
        in_seconds(7200)
    );
    let (sts, _) = service(vec![("POST / HTTP/1.1", answer)]).await;
    let keys = credentials(None, &variables, sts, nobody()).keys().await.unwrap();
    assert_eq!((keys.secret_id(), keys.secret_key(), keys.token()), ("id-s", "key-s", Some("t-s")));
    let refused =
        r#"{"Response":{"Error":{"Code":"AuthFailure","Message":"no"},"RequestId":"r"}}"#.to_owned();
    let (sts, _) = service(vec![("POST / HTTP/1.1", refused)]).await;
    let error = credentials(None, &variables, sts, nobody()).keys().await.unwrap_err().to_string();
    assert!(error.contains("AuthFailure: no; check the role"), "{error}");
    let error = credentials(None, &variables[2..], nobody(), nobody()).keys().await.unwrap_err().to_string();
    assert!(error.contains("TKE_REGION is not set"), "{error}");
}

#[test]
fn keys_are_not_printed() {
    assert_eq!(format!("{:?}", Keys::lasting("id", "key")), "<secret>");
}
