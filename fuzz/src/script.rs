//! An input that is a sequence: records with a separator between them, so that damage to one leaves the others whole.

use std::sync::OnceLock;
use std::time::Instant;

/// Stands between two records; no header that we know contains it.
pub const SEPARATOR: &[u8] = b"\n--\n";

/// More records than this are not looked at: a run has to end.
const MAX_RECORDS: usize = 400;

/// The records in their order.
pub fn records(mut data: &[u8]) -> Vec<&[u8]> {
    let mut records = Vec::new();
    while records.len() < MAX_RECORDS {
        let end = data
            .windows(SEPARATOR.len())
            .position(|bytes| bytes == SEPARATOR);
        let Some(end) = end else {
            records.push(data);
            break;
        };
        records.push(&data[..end]);
        data = &data[end + SEPARATOR.len()..];
    }
    records
}

/// Where all invented time begins.
pub fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_cut_at_separators() {
        assert_eq!(records(b"a\n--\n\n--\nb"), [&b"a"[..], b"", b"b"]);
        assert_eq!(records(&SEPARATOR.repeat(1000)).len(), MAX_RECORDS);
    }
}
