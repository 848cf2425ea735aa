//! Seeds from `tests/data`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use ng_protocol::{Encoding, Frame, frame};

/// Every recorded NG datagram, requests and replies; `tests/data/ng/README.md` describes the files.
pub fn exchanges() -> Vec<Vec<u8>> {
    files().concat()
}

fn files() -> Vec<Vec<Vec<u8>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/ng");
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "exchanges"))
        .collect();
    paths.sort();
    paths.iter().map(|path| datagrams(path)).collect()
}

fn datagrams(path: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(path).unwrap_or_default();
    let mut datagrams = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some((datagram, after)) = next_record(rest) {
        datagrams.push(datagram.to_vec());
        rest = after;
    }
    assert!(rest.is_empty(), "{} has a broken record", path.display());
    datagrams
}

/// The requests of every recorded call in their order, as JSON without a cookie.
pub fn calls() -> Vec<Vec<Vec<u8>>> {
    let mut calls = Vec::new();
    for file in files() {
        let mut by_id: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
        for datagram in &file {
            let frame = Frame::split(datagram).ok();
            let Some(dictionary) = frame.and_then(|frame| frame.decode().ok()) else {
                continue;
            };
            let id = dictionary.get("call-id").and_then(|id| id.as_bytes());
            if let Some(id) = id.filter(|_| dictionary.get("command").is_some()) {
                let mut json = frame::encode(b"0", &dictionary, Encoding::Json);
                let start = json.iter().position(|byte| *byte == b'{').unwrap_or(0);
                json.drain(..start);
                by_id.entry(id.to_vec()).or_default().push(json);
            }
        }
        calls.extend(by_id.into_values());
    }
    calls
}

/// Every session description in those datagrams, once.
pub fn descriptions() -> Vec<Vec<u8>> {
    let mut descriptions = BTreeSet::new();
    for datagram in exchanges() {
        let dictionary = Frame::split(&datagram)
            .ok()
            .and_then(|frame| frame.decode().ok());
        if let Some(dictionary) = dictionary
            && let Some(sdp) = dictionary.get("sdp").and_then(|value| value.as_bytes())
        {
            descriptions.insert(sdp.to_vec());
        }
    }
    descriptions.into_iter().collect()
}

/// A header `> NAME LENGTH` or `< NAME LENGTH`, a line feed, that many bytes, a line feed.
fn next_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let header = std::str::from_utf8(&bytes[..end]).ok()?;
    let length: usize = header.rsplit(' ').next()?.parse().ok()?;
    let start = end + 1;
    let datagram = bytes.get(start..start.checked_add(length)?)?;
    Some((datagram, bytes.get(start + length + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_are_read() {
        assert!(exchanges().len() > 1300);
        assert!(descriptions().len() > 200);
        assert!(calls().len() > 100);
    }
}
