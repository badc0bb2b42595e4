//! A JSON number as SQLite will store it, with no digit lost.

use std::borrow::Cow;

use super::fields::Scalar;

/// Decimal digits that every double carries there and back (`DBL_DIG`), well inside its range of exponents.
const SAFE_DIGITS: usize = 15;
const SAFE_EXPONENT: i64 = 290;

/// An integer within 64 bits, a double that prints back to the same digits, or else the text as it stands.
#[inline]
pub(super) fn scalar(text: &str, integer: bool) -> Scalar<'_> {
    if integer {
        match text.parse::<i64>() {
            Ok(value) => Scalar::Integer(value),
            Err(_) => Scalar::Text(Cow::Borrowed(text)),
        }
    } else {
        real(text)
    }
}

fn real(text: &str) -> Scalar<'_> {
    let as_text = || Scalar::Text(Cow::Borrowed(text));
    let Ok(value) = text.parse::<f64>() else {
        return as_text();
    };
    // A number that is shorter than what a double is sure to carry needs no second look.
    if text.len() <= SAFE_DIGITS + 1 && !text.contains(['e', 'E']) {
        return Scalar::Real(value);
    }
    let Some(written) = Decimal::parse(text) else {
        return as_text();
    };
    let safe = written.digits.len() <= SAFE_DIGITS && written.exponent.abs() < SAFE_EXPONENT;
    if safe || (value.is_finite() && Decimal::parse(&format!("{value:e}")).as_ref() == Some(&written)) {
        Scalar::Real(value)
    } else {
        as_text()
    }
}

/// `0.d1d2d3… × 10^exponent` without leading or trailing zeros, so that equal numbers are equal here. Zero has no digits.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    digits: Vec<u8>,
    exponent: i64,
    negative: bool,
}

impl Decimal {
    fn parse(text: &str) -> Option<Self> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        let leading = all.iter().take_while(|d| **d == b'0').count();
        let mut digits: Vec<u8> = all.get(leading..).unwrap_or_default().to_vec();
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        let exponent = if digits.is_empty() {
            0
        } else {
            exponent.checked_add(i64::try_from(whole.len()).ok()? - i64::try_from(leading).ok()?)?
        };
        Some(Self {
            digits,
            exponent,
            negative,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(s: &str) -> Scalar<'_> {
        Scalar::Text(Cow::Borrowed(s))
    }

    #[test]
    fn integers_stay_exact_to_the_last_of_64_bits() {
        for (json, value) in [
            ("0", 0),
            ("-0", 0),
            ("9007199254740993", 9_007_199_254_740_993),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(scalar(json, true), Scalar::Integer(value));
        }
        assert_eq!(scalar("9223372036854775808", true), text("9223372036854775808"));
        assert_eq!(scalar("-9223372036854775809", true), text("-9223372036854775809"));
    }

    #[test]
    fn a_decimal_is_a_double_only_where_it_prints_back() {
        for (json, value) in [
            ("0.1", 0.1),
            ("19.90", 19.9),
            ("1e3", 1000.0),
            ("1.5E-7", 1.5e-7),
            ("0.30000000000000004", 0.300_000_000_000_000_04),
            ("1.7976931348623157e308", f64::MAX),
            ("5e-324", 5e-324),
            ("0e999", 0.0),
        ] {
            assert_eq!(scalar(json, false), Scalar::Real(value), "{json}");
        }
        for json in [
            "0.1000000000000000055511151231257827",
            "12345678901234567.89",
            "9007199254740993.0",
            "1e400",
            "1e-400",
            "3e-324",
            "1e99999999999999999999",
        ] {
            assert_eq!(scalar(json, false), text(json), "{json}");
        }
    }

    #[test]
    fn zero_keeps_its_sign() {
        assert!(matches!(scalar("-0.0", false), Scalar::Real(z) if z == 0.0 && z.is_sign_negative()));
    }
}
