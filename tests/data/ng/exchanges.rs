//! The files of recorded exchanges. This reader lies beside them, and the tests that replay them include it by its path.

use std::fs;
use std::path::Path;

/// Exchanges between a SIP server and rtpengine, and the hand-written ones recorded with them.
pub(crate) const RECORDED: usize = 661;
/// Exchanges written one for each kind.
pub(crate) const EXAMPLES: usize = 17;

/// One request and its reply.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// File and name, for messages.
    pub(crate) name: String,
    pub(crate) request: Vec<u8>,
    pub(crate) reply: Option<Vec<u8>>,
}

/// Every exchange of every file.
pub(crate) fn exchanges() -> Vec<Exchange> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|above| above.join("tests/data/ng"))
        .find(|folder| folder.is_dir())
        .unwrap();
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "exchanges"))
        .collect();
    paths.sort();

    let mut all: Vec<Exchange> = Vec::new();
    for path in paths {
        let file = path.file_stem().unwrap().to_string_lossy().into_owned();
        let bytes = fs::read(&path).unwrap();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let end = rest.iter().position(|byte| *byte == b'\n').unwrap();
            let header = std::str::from_utf8(&rest[..end]).unwrap();
            let [direction, name, length] = header.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{file}: {header:?} is no header");
            };
            let start = end + 1;
            let end = start + length.parse::<usize>().unwrap();
            let datagram = rest[start..end].to_vec();
            assert_eq!(rest[end], b'\n', "{file}: {header:?}");
            rest = &rest[end + 1..];
            match direction {
                ">" => all.push(Exchange {
                    name: format!("{file}/{name}"),
                    request: datagram,
                    reply: None,
                }),
                "<" => all.last_mut().unwrap().reply = Some(datagram),
                _ => panic!("{file}: {header:?} is no header"),
            }
        }
    }
    assert_eq!(all.len(), RECORDED + EXAMPLES);
    all
}
