//! How COS, and CI with it, signs a request: HMAC-SHA1 over method, path, parameters and headers. Pure.

use std::fmt::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use ring::hmac::{self, HMAC_SHA1_FOR_LEGACY_USE_ONLY};

use crate::credentials::Keys;

/// What is signed of a request.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// `GET`
    pub method: &'a str,
    /// The path without its query, and not percent-encoded.
    pub path: &'a str,
    /// The parameters of the query, in any order, not encoded.
    pub parameters: &'a [(&'a str, &'a str)],
    /// The headers that are signed, in any order.
    pub headers: &'a [(&'a str, &'a str)],
    /// From when to when the signature holds, in seconds since 1970.
    pub valid: (u64, u64),
}

/// All but letters, digits and `-_.~`.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The value of the header `Authorization`.
#[must_use]
pub fn authorization(keys: &Keys, request: &Signed<'_>) -> String {
    let (start, end) = request.valid;
    let time = format!("{start};{end}");
    let (parameter_names, parameters) = listed(request.parameters);
    let (header_names, headers) = listed(request.headers);
    let method = request.method.to_ascii_lowercase();
    let request = format!("{method}\n{}\n{parameters}\n{headers}\n", request.path);
    let hash = hexadecimal(digest(&SHA1_FOR_LEGACY_USE_ONLY, request.as_bytes()).as_ref());
    let key = hmac_sha1(keys.secret_key(), &time);
    let signature = hmac_sha1(&key, &format!("sha1\n{time}\n{hash}\n"));
    format!(
        "q-sign-algorithm=sha1&q-ak={}&q-sign-time={time}&q-key-time={time}&q-header-list={header_names}\
         &q-url-param-list={parameter_names}&q-signature={signature}",
        keys.secret_id()
    )
}

/// A query as it stands in the URL.
pub(crate) fn query(parameters: &[(&str, &str)]) -> String {
    let encode = |text| utf8_percent_encode(text, ENCODED);
    let pairs = parameters.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// The names, and the names with their values, as both are signed: encoded and sorted.
fn listed(pairs: &[(&str, &str)]) -> (String, String) {
    let encode = |text| utf8_percent_encode(text, ENCODED).to_string();
    let mut pairs: Vec<_> =
        pairs.iter().map(|(name, value)| (encode(name).to_ascii_lowercase(), encode(value))).collect();
    pairs.sort();
    let names: Vec<_> = pairs.iter().map(|(name, _)| name.as_str()).collect();
    let values: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    (names.join(";"), values.join("&"))
}

fn hmac_sha1(key: &str, text: &str) -> String {
    let key = hmac::Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes());
    hexadecimal(hmac::sign(&key, text.as_bytes()).as_ref())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string has no way to fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAMETERS: &[(&str, &str)] = &[("second_param", "second_value"), ("first_param", "first_value")];
    const HEADERS: &[(&str, &str)] = &[("x-cos-meta-xx", "meta_test"), ("host", "hostname_test")];

    /// Of the vendor's SDKs' own tests: cos-cpp-sdk-v5 (`auth_tool_test`) the first three, cos-go-sdk-v5 (`auth_test.go`)
    /// the others. The ids and keys are theirs, and no account's.
    #[test]
    fn published_vectors_are_signed_alike() {
        let cpp = Keys::lasting("access_key_test", "secret_key_test");
        let go = Keys::lasting("QmFzZTY0IGlzIGEgZ*******", "ZfbOA78asKUYBcXFrJD0a1I*******");
        let (cpp_time, go_time) = ((1_502_493_430, 1_502_573_430), (1_622_702_557, 1_622_706_157));
        let test: &[(&str, &str)] = &[("test", "params")];
        let rows = [
            (&cpp, "GET", "xxxx", PARAMETERS, HEADERS, cpp_time, "7686473b75487163d6e204d3c68e5c3b74e06164"),
            (&cpp, "GET", "xxxx", &[][..], HEADERS, cpp_time, "8e196637993353bdff2466e0d34034130c9a2aca"),
            (&cpp, "GET", "xxxx", &[], &[], cpp_time, "122c75ad3f7c230b8cc88f4f38410b9d3d347997"),
            (&go, "PUT", "/test.jpg", &[], &[], go_time, "820975b5a8eccce9455b94d4ebed14d66654bf3c"),
            (&go, "PUT", "/test.jpg", test, &[], go_time, "7757e84ed5f8953eafc30afcd2a5d1ad68e00d67"),
        ];
        for (keys, method, path, parameters, headers, valid, signature) in rows {
            let signed = authorization(keys, &Signed { method, path, parameters, headers, valid });
            assert!(signed.ends_with(&format!("&q-signature={signature}")), "{signed}");
        }
    }

    #[test]
    fn names_and_values_are_encoded_and_sorted() {
        let time = "2022-06-27T00:00:00+0800";
        assert_eq!(
            listed(&[("startCreationTime", time), ("Size", "10"), ("a b", "(é)")]),
            (
                "a%20b;size;startcreationtime".to_owned(),
                "a%20b=%28%C3%A9%29&size=10&startcreationtime=2022-06-27T00%3A00%3A00%2B0800".to_owned()
            )
        );
        assert_eq!(query(&[("t", time), ("states", "a,b")]), "t=2022-06-27T00%3A00%3A00%2B0800&states=a%2Cb");
    }
}
