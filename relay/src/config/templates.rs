//! `templates = SECTION`: flags that operators keep in the configuration file.
//!
//! An entry named like a command applies to every such request and `default` to all of them, before the request's own keys; any
//! other is called by the key `template` of a request.

use ng_protocol::{Dictionary, Request, Templates};

use super::settings::bad;
use super::{ConfigError, Settings};

/// Reads the section, if one is named.
pub(super) fn read(settings: &Settings) -> Result<Templates, ConfigError> {
    let mut templates = Templates::default();
    let Some(name) = settings.last("templates") else {
        return Ok(templates);
    };
    let Some((file, section)) = settings
        .file
        .as_ref()
        .and_then(|file| Some((file, file.section(name)?)))
    else {
        let problem = format!("there is no section [{name}] in the configuration file");
        return Err(bad("templates", name, problem));
    };
    for entry in &section.entries {
        templates.insert(&entry.name, entry.value.as_str());
        // A template that no request could use must not wait for the first call.
        if let Err(error) = tried(&entry.name, &templates) {
            return Err(ConfigError::Syntax {
                place: file.place(entry.line),
                problem: format!("template {}: {error}", entry.name),
            });
        }
    }
    Ok(templates)
}

/// Sentences about words in templates that nobody knows.
pub(super) fn remarks(templates: &Templates, settings: &Settings) -> Vec<String> {
    let section = settings.last("templates").and_then(|name| {
        let file = settings.file.as_ref()?;
        Some((file, file.section(name)?))
    });
    let Some((file, section)) = section else {
        return Vec::new();
    };
    let mut remarks = Vec::new();
    for entry in &section.entries {
        let alone = [(entry.name.as_str(), entry.value.as_str())];
        let alone: Templates = alone.into_iter().collect();
        let Ok(request) = tried(&entry.name, &alone) else {
            continue;
        };
        for word in request.unknown {
            remarks.push(format!(
                "{}: template {}: {}={} is unknown and ignored",
                file.place(entry.line),
                entry.name,
                word.key,
                word.value
            ));
        }
    }
    if !section.entries.is_empty() {
        remarks.push(format!("templates: {templates}"));
    }
    remarks
}

/// A request that does nothing but use a template.
fn tried(name: &str, templates: &Templates) -> Result<Request, ng_protocol::NgError> {
    let request = Dictionary::new()
        .with("command", "ping")
        .with("template", name.to_owned());
    Request::from_dictionary(&request, templates)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        Settings::default().with_file(text).unwrap()
    }

    #[test]
    fn a_section_becomes_templates() {
        let settings = settings(
            "[rtpengine]\ntemplates = words\n[words]\nWebRTC = transport-protocol=UDP/TLS/RTP/SAVPF ICE=force\n\
             offer = replace-origin\n",
        );
        let templates = read(&settings).unwrap();
        let by_name = tried("WebRTC", &templates).unwrap();
        assert!(by_name.unknown.is_empty());
        assert!(by_name.flags != Request::new(by_name.command).flags);
        assert_eq!(remarks(&templates, &settings), ["templates: offer, webrtc"]);
    }

    #[test]
    fn a_word_that_nobody_knows_is_told_with_its_line() {
        let settings = settings("[rtpengine]\ntemplates = t\n[t]\n\nsip = replace-orign\n");
        let templates = read(&settings).unwrap();
        let remarks = remarks(&templates, &settings);
        assert!(
            remarks[0].contains("line 5: template sip: replace=orign is unknown"),
            "{remarks:?}"
        );
    }

    #[test]
    fn without_the_option_there_are_none() {
        let settings = settings("[rtpengine]\n[templates]\noffer = replace-origin\n");
        assert_eq!(read(&settings).unwrap(), Templates::default());
    }
}
