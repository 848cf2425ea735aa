//! Bencode as NG uses it: strings `LEN:BYTES`, integers `iNe`, lists `l...e`, dictionaries `d...e`.
//!
//! It differs from the BitTorrent original (BEP 3) where NG clients do: keys are neither sorted nor unique, bytes after
//! the dictionary are ignored, and so is a dictionary entry whose key is no string.
//! The decoder borrows its strings. Its memory is bounded by the input, which is one datagram: the smallest value takes
//! two bytes of it, nesting ends at [`MAX_DEPTH`], and an announced length is believed only if the bytes are there.

use std::borrow::Cow;

use crate::error::{BencodeProblem, NgError};
use crate::value::{Dictionary, MAX_DEPTH, Value};

/// Room for the pairs of most requests.
const USUAL_PAIRS: usize = 12;

/// Reads a dictionary from the beginning of `bytes`.
pub fn decode(bytes: &[u8]) -> Result<Dictionary<'_>, NgError> {
    let mut decoder = Decoder { bytes, position: 0 };
    match decoder.peek()? {
        b'd' => decoder.dictionary(1),
        byte => Err(decoder.problem(BencodeProblem::UnexpectedByte(byte))),
    }
}

/// Appends a dictionary to `out`, its keys in their order.
pub fn encode(dictionary: &Dictionary<'_>, out: &mut Vec<u8>) {
    encode_pairs(dictionary.iter(), out);
}

/// Appends a dictionary of these pairs to `out`.
pub fn encode_pairs<'d, 'v: 'd>(
    pairs: impl Iterator<Item = (&'d [u8], &'d Value<'v>)>,
    out: &mut Vec<u8>,
) {
    out.push(b'd');
    for (key, value) in pairs {
        encode_string(key, out);
        encode_value(value, out);
    }
    out.push(b'e');
}

fn encode_value(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Integer(number) => {
            out.push(b'i');
            if *number < 0 {
                out.push(b'-');
            }
            encode_digits(number.unsigned_abs(), out);
            out.push(b'e');
        }
        Value::String(bytes) => encode_string(bytes, out),
        Value::List(items) => {
            out.push(b'l');
            for item in items {
                encode_value(item, out);
            }
            out.push(b'e');
        }
        Value::Dictionary(dictionary) => encode(dictionary, out),
    }
}

fn encode_string(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len() + 4);
    encode_digits(bytes.len() as u64, out);
    out.push(b':');
    out.extend_from_slice(bytes);
}

/// A reply has a length before every key and every value: not worth a string each.
fn encode_digits(mut number: u64, out: &mut Vec<u8>) {
    if number < 100 {
        let (tens, ones) = (number as u8 / 10, number as u8 % 10);
        if tens > 0 {
            out.push(b'0' + tens);
        }
        out.push(b'0' + ones);
        return;
    }
    let mut digits = [0; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[first..]);
}

struct Decoder<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Decoder<'a> {
    fn problem(&self, problem: BencodeProblem) -> NgError {
        NgError::Bencode {
            offset: self.position,
            problem,
        }
    }

    fn peek(&self) -> Result<u8, NgError> {
        self.bytes
            .get(self.position)
            .copied()
            .ok_or_else(|| self.problem(BencodeProblem::Truncated))
    }

    fn value(&mut self, depth: usize) -> Result<Value<'a>, NgError> {
        match self.peek()? {
            b'0'..=b'9' => Ok(Value::String(Cow::Borrowed(self.string()?))),
            b'i' => self.integer().map(Value::Integer),
            b'l' => self.list(depth + 1).map(Value::List),
            b'd' => self.dictionary(depth + 1).map(Value::Dictionary),
            byte => Err(self.problem(BencodeProblem::UnexpectedByte(byte))),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Value<'a>>, NgError> {
        self.open(depth)?;
        let mut items = Vec::new();
        while self.peek()? != b'e' {
            items.push(self.value(depth)?);
        }
        self.position += 1;
        Ok(items)
    }

    fn dictionary(&mut self, depth: usize) -> Result<Dictionary<'a>, NgError> {
        self.open(depth)?;
        // Only the request itself: among what is nested, an empty dictionary of two bytes must not cost more.
        let mut dictionary = Dictionary::with_capacity(if depth == 1 { USUAL_PAIRS } else { 0 });
        while self.peek()? != b'e' {
            let key = self.value(depth)?;
            let value = self.value(depth)?;
            if let Value::String(key) = key {
                dictionary.push(key, value);
            }
        }
        self.position += 1;
        Ok(dictionary)
    }

    fn open(&mut self, depth: usize) -> Result<(), NgError> {
        if depth > MAX_DEPTH {
            return Err(self.problem(BencodeProblem::TooDeep));
        }
        self.position += 1;
        Ok(())
    }

    fn string(&mut self) -> Result<&'a [u8], NgError> {
        let start = self.position;
        let announced = self.digits(b':')?;
        let rest = &self.bytes[self.position..];
        let length = usize::try_from(announced)
            .ok()
            .filter(|length| *length <= rest.len());
        let Some(length) = length else {
            return Err(NgError::Bencode {
                offset: start,
                problem: BencodeProblem::StringTooLong {
                    announced: usize::try_from(announced).unwrap_or(usize::MAX),
                    left: rest.len(),
                },
            });
        };
        self.position += length;
        Ok(&rest[..length])
    }

    fn integer(&mut self) -> Result<i64, NgError> {
        self.position += 1;
        let negative = self.peek()? == b'-';
        if negative {
            self.position += 1;
        }
        let magnitude = i128::from(self.digits(b'e')?);
        let number = if negative { -magnitude } else { magnitude };
        i64::try_from(number).map_err(|_| self.problem(BencodeProblem::NumberTooLarge))
    }

    /// Digits up to and including a terminator; at least one.
    fn digits(&mut self, terminator: u8) -> Result<u64, NgError> {
        let start = self.position;
        let mut number: u64 = 0;
        loop {
            match self.peek()? {
                digit @ b'0'..=b'9' => {
                    number = number
                        .checked_mul(10)
                        .and_then(|number| number.checked_add(u64::from(digit - b'0')))
                        .ok_or_else(|| self.problem(BencodeProblem::NumberTooLarge))?;
                    self.position += 1;
                }
                byte if byte == terminator && self.position > start => {
                    self.position += 1;
                    return Ok(number);
                }
                _ => return Err(self.problem(BencodeProblem::NotANumber)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(dictionary: &Dictionary<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        encode(dictionary, &mut out);
        out
    }

    fn problem_of(bytes: &[u8]) -> (usize, BencodeProblem) {
        match decode(bytes) {
            Err(NgError::Bencode { offset, problem }) => (offset, problem),
            other => panic!("expected a bencode error, not {other:?}"),
        }
    }

    #[test]
    fn order_and_repetition_of_keys_survive() {
        let bytes = b"d1:zi1e1:a3:off1:z4:laste";
        let dictionary = decode(bytes).unwrap();

        let keys: Vec<_> = dictionary.iter().map(|(key, _)| key).collect();
        assert_eq!(keys, [b"z", b"a", b"z"]);
        assert_eq!(dictionary.get("z"), Some(&Value::Integer(1)));
        assert_eq!(encoded(&dictionary), bytes);
    }

    #[test]
    fn bytes_after_the_dictionary_are_ignored() {
        let dictionary = decode(b"d7:command4:pingetrailing").unwrap();
        assert_eq!(encoded(&dictionary), b"d7:command4:pinge");
    }

    #[test]
    fn an_entry_without_a_string_as_key_is_skipped() {
        let dictionary = decode(b"di5e3:yesl1:ae2:no1:k1:ve").unwrap();
        assert_eq!(encoded(&dictionary), b"d1:k1:ve");
    }

    #[test]
    fn integers_span_the_signed_64_bits() {
        let dictionary = decode(b"d1:ai-9223372036854775808e1:bi9223372036854775807ee").unwrap();
        assert_eq!(dictionary.get("a"), Some(&Value::Integer(i64::MIN)));
        assert_eq!(dictionary.get("b"), Some(&Value::Integer(i64::MAX)));
        assert_eq!(
            problem_of(b"d1:ai9223372036854775808ee").1,
            BencodeProblem::NumberTooLarge
        );
    }

    #[test]
    fn errors_tell_where_and_what() {
        assert_eq!(problem_of(b""), (0, BencodeProblem::Truncated));
        assert_eq!(problem_of(b"le"), (0, BencodeProblem::UnexpectedByte(b'l')));
        assert_eq!(
            problem_of(b"d7:command4:pin"),
            (
                10,
                BencodeProblem::StringTooLong {
                    announced: 4,
                    left: 3
                }
            )
        );
        assert_eq!(
            problem_of(b"d1:ax"),
            (4, BencodeProblem::UnexpectedByte(b'x'))
        );
        assert_eq!(problem_of(b"d1:aie"), (5, BencodeProblem::NotANumber));
        assert_eq!(problem_of(b"d1x"), (2, BencodeProblem::NotANumber));
        assert_eq!(problem_of(b"d1:a"), (4, BencodeProblem::Truncated));
        assert_eq!(
            decode(b"d1:ai1").unwrap_err().to_string(),
            "bencode at byte 6: the message ends in the middle of a value"
        );
    }

    #[test]
    fn nesting_ends_at_the_limit() {
        let nested = |depth: usize| {
            let mut bytes = b"d1:a".to_vec();
            bytes.extend(std::iter::repeat_n(b'l', depth - 1));
            bytes.extend(std::iter::repeat_n(b'e', depth));
            bytes
        };
        assert!(decode(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(
            problem_of(&nested(MAX_DEPTH + 1)).1,
            BencodeProblem::TooDeep
        );
        let mut hostile = b"d1:a".to_vec();
        hostile.resize(65_535, b'l');
        assert_eq!(problem_of(&hostile).1, BencodeProblem::TooDeep);
    }

    #[test]
    fn an_announced_length_is_not_believed() {
        assert!(matches!(
            problem_of(b"d99999999999:").1,
            BencodeProblem::StringTooLong { left: 0, .. }
        ));
        assert_eq!(
            problem_of(b"d99999999999999999999:").1,
            BencodeProblem::NumberTooLarge
        );
        let mut digits = b"d".to_vec();
        digits.resize(65_535, b'9');
        assert_eq!(problem_of(&digits), (20, BencodeProblem::NumberTooLarge));
    }

    fn any_value() -> impl Strategy<Value = Value<'static>> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(Value::Integer),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::List),
                any_dictionary_of(inner).prop_map(Value::Dictionary),
            ]
        })
    }

    fn any_dictionary_of(
        values: impl Strategy<Value = Value<'static>>,
    ) -> impl Strategy<Value = Dictionary<'static>> {
        prop::collection::vec((prop::collection::vec(any::<u8>(), 0..8), values), 0..6).prop_map(
            |pairs| {
                let mut dictionary = Dictionary::new();
                for (key, value) in pairs {
                    dictionary.push(key, value);
                }
                dictionary
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_the_same(dictionary in any_dictionary_of(any_value())) {
            let bytes = encoded(&dictionary);
            prop_assert_eq!(decode(&bytes).unwrap(), dictionary);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn arbitrary_bencode_alphabet_never_panics(text in "d[dlie0-9:a-]{0,200}") {
            if let Ok(dictionary) = decode(text.as_bytes()) {
                let again = encoded(&dictionary);
                prop_assert_eq!(decode(&again).unwrap(), dictionary);
            }
        }
    }
}
