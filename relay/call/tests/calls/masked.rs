//! Descriptions made comparable: what is random or ours to choose is masked, what must agree stays.

/// Replaces ports, keys, credentials, fingerprints and other values that differ from call to call.
pub(crate) fn masked(sdp: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in sdp.lines() {
        let line = line.trim_end();
        let words: Vec<&str> = line.split(' ').collect();
        let masked = if let Some(rest) = line.strip_prefix("m=") {
            let words: Vec<&str> = rest.split(' ').collect();
            let port = if words[1] == "0" { "0" } else { "PORT" };
            format!("m={} {port} {}", words[0], words[2..].join(" "))
        } else if line.starts_with("a=rtcp:") && words.len() == 1 {
            "a=rtcp:PORT".to_owned()
        } else if line.starts_with("a=crypto:") {
            format!("{} {} KEY", words[0], words[1])
        } else if line.starts_with("a=candidate:") {
            format!(
                "a=candidate:F {} {} {} {} PORT {}",
                words[1],
                words[2].to_uppercase(),
                words[3],
                words[4],
                words[6..].join(" ")
            )
        } else if let Some((name, _)) = line.split_once(':').filter(|(name, _)| {
            ["a=ice-ufrag", "a=ice-pwd", "a=tls-id", "a=rtpengine"].contains(name)
        }) {
            format!("{name}:*")
        } else if line.starts_with("a=fingerprint:") {
            format!("{} HASH", words[0])
        } else if line.starts_with("a=fmtp:") {
            let mut values: Vec<&str> = words[1..]
                .iter()
                .flat_map(|word| word.split(';'))
                .filter(|value| !value.is_empty())
                .collect();
            values.sort_unstable();
            format!("{} {}", words[0], values.join(";"))
        } else {
            line.to_owned()
        };
        lines.push(masked);
    }
    lines
}

/// The lines that only one of two lists has, in the form of a diff; empty when they are equal.
pub(crate) fn difference(theirs: &[String], ours: &[String]) -> String {
    let mut text = String::new();
    let (mut i, mut j) = (0, 0);
    while i < theirs.len() || j < ours.len() {
        if i < theirs.len() && j < ours.len() && theirs[i] == ours[j] {
            (i, j) = (i + 1, j + 1);
        } else if i < theirs.len() && !ours[j..].contains(&theirs[i]) {
            text.push_str(&format!("- {}\n", theirs[i]));
            i += 1;
        } else if j < ours.len() {
            text.push_str(&format!("+ {}\n", ours[j]));
            j += 1;
        } else {
            text.push_str(&format!("- {}\n", theirs[i]));
            i += 1;
        }
    }
    text
}
