//! Requests that differ in their numbers only, so that the load generator copies instead of writing.

use crate::workload::{ID_MARK, SUBJECT_MARK, Workload};

/// A request, and where its numbers go.
#[derive(Debug, Clone)]
pub struct Template {
    request: Vec<u8>,
    ids: Vec<usize>,
    subjects: Vec<usize>,
    subject_count: u64,
}

impl Template {
    /// A request for a host and a path.
    #[must_use]
    pub fn new(workload: Workload, host: &str, path: &str) -> Self {
        let body = workload.body();
        // The head is what the vendor sends, its type included: it says XML over JSON as well.
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: {}\r\nContent-Type: application/xml\r\nAccept-Encoding: gzip\r\n\r\n{body}",
            body.len()
        );
        let places = |mark| request.match_indices(mark).map(|(place, _)| place).collect();
        let (ids, subjects) = (places(ID_MARK), places(SUBJECT_MARK));
        let subject_count =
            if let Workload::Subjects(count) = workload { u64::from(count.max(1)) } else { 1 };
        Self { request: request.into_bytes(), ids, subjects, subject_count }
    }

    /// A copy to write numbers into.
    #[must_use]
    pub fn request(&self) -> Vec<u8> {
        self.request.clone()
    }

    /// Makes a copy the callback of that number: 12 hexadecimal digits of it in each id, and 4 of the job's place.
    pub fn stamp(&self, request: &mut [u8], number: u64) {
        for (job, place) in self.ids.iter().enumerate() {
            digits(&mut request[*place..place + 12], number, 16);
            digits(&mut request[place + 12..place + 16], job as u64, 16);
        }
        for place in &self.subjects {
            digits(&mut request[*place..place + SUBJECT_MARK.len()], number % self.subject_count, 10);
        }
    }
}

fn digits(place: &mut [u8], mut number: u64, base: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number % base) as usize];
        number /= base;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_has_an_id_of_its_own() {
        for (workload, ids) in [
            (Workload::Xml, 1),
            (Workload::Json, 1),
            (Workload::Jobs(64), 64),
            (Workload::Moderation(200_000), 1),
            (Workload::Subjects(9), 1),
        ] {
            let template = Template::new(workload, "host", "/path");
            assert_eq!(template.ids.len(), ids, "{workload}");
            let mut request = template.request();
            template.stamp(&mut request, 0xabc);
            let request = String::from_utf8(request).expect("still text");
            for job in 0..ids {
                assert!(request.contains(&format!("000000000abc{job:04x}")), "{workload}");
            }
            assert!(!request.contains(ID_MARK) && !request.contains(SUBJECT_MARK), "{workload}");
        }
    }
}
