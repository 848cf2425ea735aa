//! Header fields of a SIP message (RFC 3261 §7.3), kept in the order and spelling they came in.
//!
//! Meta routes a call by header values that must come back exactly as they were sent, so nothing
//! here rewrites, sorts or folds a value; it only finds them.

/// One header field as it stood in the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The name as written by the sender, possibly in compact form.
    pub name: String,
    /// The value with surrounding white space removed and folded lines joined by one space.
    pub value: String,
}

/// The header fields of one message, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    fields: Vec<Field>,
}

impl Headers {
    /// Adds a field below the ones already there.
    pub fn push(&mut self, name: &str, value: impl Into<String>) {
        self.fields.push(Field {
            name: name.to_owned(),
            value: value.into(),
        });
    }

    /// Appends to the last field what a continuation line held (RFC 3261 §7.3.1).
    pub(super) fn continue_last(&mut self, more: &str) -> bool {
        let Some(last) = self.fields.last_mut() else {
            return false;
        };
        last.value.push(' ');
        last.value.push_str(more);
        true
    }

    /// Every field, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter()
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is no field at all.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The value of the first field of that name; compact forms count as their long form.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|field| same_name(&field.name, name))
            .map(|field| field.value.as_str())
    }

    /// The values of every field of that name, unsplit.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields
            .iter()
            .filter(move |field| same_name(&field.name, name))
            .map(|field| field.value.as_str())
    }

    /// The elements of a comma-separated header over all its fields (RFC 3261 §7.3.1).
    pub fn elements(&self, name: &str) -> Vec<String> {
        self.all(name).flat_map(split_list).collect()
    }

    /// Whether a list header such as `Supported` names this token.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.elements(name)
            .iter()
            .any(|element| element.eq_ignore_ascii_case(token))
    }
}

/// Whether two spellings name the same header, compact forms included.
pub fn same_name(left: &str, right: &str) -> bool {
    long_name(left).eq_ignore_ascii_case(long_name(right))
}

/// The long form of a compact header name (RFC 3261 §7.3.3 and the registry of later ones).
fn long_name(name: &str) -> &str {
    let [letter] = name.as_bytes() else {
        return name;
    };
    match letter.to_ascii_lowercase() {
        b'c' => "Content-Type",
        b'e' => "Content-Encoding",
        b'f' => "From",
        b'i' => "Call-ID",
        b'k' => "Supported",
        b'l' => "Content-Length",
        b'm' => "Contact",
        b'r' => "Refer-To",
        b's' => "Subject",
        b't' => "To",
        b'v' => "Via",
        b'x' => "Session-Expires",
        _ => name,
    }
}

/// Splits at the commas that stand outside quotes and angle brackets.
pub fn split_list(value: &str) -> Vec<String> {
    split_outside(value, ',')
}

/// Splits at a separator that stands outside quotes and angle brackets; empty elements vanish.
pub fn split_outside(value: &str, separator: char) -> Vec<String> {
    let mut elements = Vec::new();
    let mut element = String::new();
    let (mut quoted, mut escaped, mut bracketed) = (false, false, false);
    for letter in value.chars() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' if !quoted => bracketed = true,
            '>' if !quoted => bracketed = false,
            _ if letter == separator && !quoted && !bracketed => {
                push_trimmed(&mut elements, &element);
                element.clear();
                continue;
            }
            _ => {}
        }
        element.push(letter);
    }
    push_trimmed(&mut elements, &element);
    elements
}

fn push_trimmed(elements: &mut Vec<String>, element: &str) {
    let element = element.trim();
    if !element.is_empty() {
        elements.push(element.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_names_are_found_under_their_long_form() {
        let mut headers = Headers::default();
        headers.push("i", "abc");
        headers.push("v", "SIP/2.0/TLS a;branch=1");
        assert_eq!(headers.first("Call-ID"), Some("abc"));
        assert_eq!(headers.first("via"), Some("SIP/2.0/TLS a;branch=1"));
    }

    #[test]
    fn commas_inside_quotes_and_brackets_do_not_split() {
        assert_eq!(
            split_list(r#""Doe, \"J,\"" <sip:a@b;x="1,2">;q=1 , <sip:c,d@e>"#),
            [r#""Doe, \"J,\"" <sip:a@b;x="1,2">;q=1"#, "<sip:c,d@e>"]
        );
    }

    #[test]
    fn routes_on_one_line_and_on_several_give_the_same_elements() {
        let mut one = Headers::default();
        one.push("Route", "<sip:a;lr>, <sip:b;lr>");
        let mut two = Headers::default();
        two.push("Route", "<sip:a;lr>");
        two.push("Route", "<sip:b;lr>");
        assert_eq!(one.elements("Route"), two.elements("Route"));
    }
}
