//! The elements of an RTP header extension (RFC 8285), one-byte and two-byte form.

/// RFC 8285 section 4.2: the "defined by profile" word of the one-byte form.
pub(super) const ONE_BYTE_PROFILE: u16 = 0xbede;
/// RFC 8285 section 4.3: the two-byte form's word, whose last four bits belong to the application.
const TWO_BYTE_PROFILE: u16 = 0x1000;

/// One element: its local identifier (the number of `a=extmap`) and its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtensionElement<'a> {
    /// The identifier that `a=extmap` gave a meaning to.
    pub id: u8,
    /// The element's value; it may be empty in the two-byte form.
    pub value: &'a [u8],
}

/// Walks over the elements. It ends at the first length that contradicts the bytes, and for forms it does not know at once.
#[derive(Clone, Debug)]
pub struct ExtensionElements<'a> {
    bytes: &'a [u8],
    two_byte: bool,
}

impl<'a> ExtensionElements<'a> {
    pub(super) fn new(profile: u16, bytes: &'a [u8]) -> Self {
        let two_byte = profile & 0xfff0 == TWO_BYTE_PROFILE;
        let known = two_byte || profile == ONE_BYTE_PROFILE;
        Self {
            bytes: if known { bytes } else { &[] },
            two_byte,
        }
    }

    /// Takes an element's identifier, length and header size off the front, or `None` at the end.
    fn head(&self) -> Option<(u8, usize, usize)> {
        let first = *self.bytes.first()?;
        if self.two_byte {
            return Some((first, usize::from(*self.bytes.get(1)?), 2));
        }
        // RFC 8285 section 4.2: identifier 15 is reserved, and whoever meets it stops reading.
        (first >> 4 != 15).then_some((first >> 4, usize::from(first & 0x0f) + 1, 1))
    }
}

impl<'a> Iterator for ExtensionElements<'a> {
    type Item = ExtensionElement<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        // A zero byte is padding, in both forms.
        while let Some((0, rest)) = self.bytes.split_first() {
            self.bytes = rest;
        }
        let element = self.head().and_then(|(id, len, head)| {
            let value = self.bytes.get(head..head + len)?;
            self.bytes = &self.bytes[head + len..];
            Some(ExtensionElement { id, value })
        });
        if element.is_none() {
            self.bytes = &[];
        }
        element
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(profile: u16, bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
        ExtensionElements::new(profile, bytes)
            .map(|e| (e.id, e.value.to_vec()))
            .collect()
    }

    #[test]
    fn one_byte_elements_with_padding_between() {
        let bytes = [0x10, 0xaa, 0x00, 0x31, 0xbb, 0xcc, 0x00, 0x00];
        assert_eq!(
            elements(0xbede, &bytes),
            [(1, vec![0xaa]), (3, vec![0xbb, 0xcc])]
        );
    }

    #[test]
    fn two_byte_elements_may_be_empty() {
        let bytes = [0x01, 0x00, 0x00, 0x20, 0x02, 0xbb, 0xcc, 0x00];
        assert_eq!(
            elements(0x1005, &bytes),
            [(1, vec![]), (0x20, vec![0xbb, 0xcc])]
        );
    }

    #[test]
    fn a_length_beyond_the_end_ends_the_walk() {
        assert_eq!(
            elements(0xbede, &[0x10, 0xaa, 0x37, 0xbb]),
            [(1, vec![0xaa])]
        );
        assert_eq!(elements(0x1000, &[0x01]), []);
        assert_eq!(elements(0xbede, &[0xf0, 0x10, 0xaa]), []);
        assert_eq!(elements(0x1234, &[0x10, 0xaa]), []);
    }
}
