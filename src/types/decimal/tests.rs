//! Tests of decimal numbers.

use super::*;
use proptest::prelude::*;

#[test]
fn numbers_that_dynamodb_can_store_are_exact() {
    let nines = "9".repeat(38);
    let cases = [
        ("0", "0"),
        ("-0", "0"),
        ("0.10", "0.1"),
        ("+5", "5"),
        ("9007199254740993", "9007199254740993"),
        (nines.as_str(), nines.as_str()),
        ("1E+3", "1000"),
        ("1.78965166E9", "1789651660"),
        ("1E-130", "1E-130"),
        ("9.9e125", "99E124"),
        ("-12.5", "-12.5"),
        ("100000000000000000000000000000000000000000000", "1E44"),
        ("000000000000000000000000000000000000000000007", "7"),
    ];
    for (text, expected) in cases {
        assert_eq!(Decimal::parse(text).unwrap().to_string(), expected, "{text}");
    }
}

#[test]
fn texts_that_dynamodb_would_refuse_are_refused() {
    let cases = [
        ("", DecimalError::Syntax),
        ("-", DecimalError::Syntax),
        (" 1", DecimalError::Syntax),
        ("1 ", DecimalError::Syntax),
        ("NaN", DecimalError::Syntax),
        ("Infinity", DecimalError::Syntax),
        ("0x10", DecimalError::Syntax),
        ("1e", DecimalError::Syntax),
        ("1.2.3", DecimalError::Syntax),
        (".", DecimalError::Syntax),
        ("1e126", DecimalError::Range),
        ("1e-131", DecimalError::Range),
        ("1e999999999999999999", DecimalError::Range),
        ("123456789012345678901234567890123456789", DecimalError::Precision),
        ("100000000000000000000000000000000000001", DecimalError::Precision),
    ];
    for (text, expected) in cases {
        assert_eq!(Decimal::parse(text), Err(expected), "{text}");
    }
}

#[test]
fn a_sum_that_needs_more_than_38_digits_is_an_error() {
    let big = Decimal::parse(&"9".repeat(38)).unwrap();
    assert_eq!(big.checked_add(big), Err(DecimalError::Precision));
    assert_eq!(Decimal::from(1).checked_add(Decimal::parse("1E-130").unwrap()), Err(DecimalError::Precision));
    assert_eq!(big.checked_sub(big), Ok(Decimal::ZERO));
}

#[test]
fn products_are_exact_and_whole_numbers_are_the_nearest() {
    let product = |a: &str, b: &str| {
        let product = Decimal::parse(a).unwrap().checked_mul(Decimal::parse(b).unwrap());
        product.map(|product| product.to_string())
    };
    assert_eq!(product("5500", "0.001"), Ok("5.5".to_owned()));
    assert_eq!(product("-3", "0"), Ok("0".to_owned()));
    assert_eq!(product(&"9".repeat(38), "11"), Err(DecimalError::Precision));
    assert_eq!(product("1E125", "1E125"), Err(DecimalError::Range));
    let cases = [
        ("7", "7", "0"),
        ("0.4", "0", "0.4"),
        ("0.5", "1", "-0.5"),
        ("-0.5", "0", "-0.5"),
        ("-0.6", "-1", "0.4"),
        ("1.499", "1", "0.499"),
        ("1E-100", "0", "1E-100"),
        ("-0.99999999999999999999999999999999999999", "-1", "0.00000000000000000000000000000000000001"),
        ("2E20", "200000000000000000000", "0"),
    ];
    for (text, whole, left) in cases {
        let split = Decimal::parse(text).unwrap().nearest_whole();
        assert_eq!((split.0.to_string(), split.1.to_string()), (whole.to_owned(), left.to_owned()), "{text}");
    }
}

#[test]
fn units_are_exact_or_none() {
    let units = |text: &str, scale| Decimal::parse(text).unwrap().units(scale);
    assert_eq!((units("0", 200), units("1.25", 2), units("1.25", 3)), (Some(0), Some(125), Some(1_250)));
    assert_eq!((units("1.25", 1), units("1E38", 0), units("1E39", 0)), (None, Some(10_i128.pow(38)), None));
}

#[test]
fn regression_sums_and_products_beyond_128_bits_are_exact_or_refused() {
    let number = |text: &str| Decimal::parse(text).unwrap();
    let sum = |a: &str, b: &str| number(a).checked_add(number(b)).map(|sum| sum.to_string());
    // -2^127, which has 39 digits, has no absolute value in an i128.
    let half = "-70141183460469231731687303715884105729";
    assert_eq!(sum(&format!("-{}", "9".repeat(38)), half), Err(DecimalError::Precision));
    assert_eq!(
        sum(&"9".repeat(38), "80000000000000000000000000000000000001").as_deref(),
        Ok("180000000000000000000000000000000000000")
    );
    assert_eq!(
        sum("1.75E38", "-80000000000000000000000000000000000001").as_deref(),
        Ok("94999999999999999999999999999999999999")
    );
    let [fives, twos] = [5_i128, 2].map(|base| Decimal::from_parts(base.pow(54), 0).unwrap());
    assert_eq!([fives.checked_mul(twos), twos.checked_mul(fives)], [Ok(number("1E54")); 2]);
}

#[test]
fn regression_parts_that_no_number_has_are_refused() {
    assert_eq!(Decimal::from_parts(i128::MIN, 0), Err(DecimalError::Precision));
    assert_eq!(Decimal::from_parts(10, i32::MAX), Err(DecimalError::Range));
    assert_eq!(Decimal::from_parts(i128::MAX, i32::MIN), Err(DecimalError::Precision));
}

proptest! {
    #[test]
    fn whole_number_and_remainder_add_up_to_the_number(mantissa: i64, exponent in -40i32..5) {
        let number = Decimal::from_parts(i128::from(mantissa), exponent).unwrap();
        let (whole, left) = number.nearest_whole();
        prop_assert_eq!(whole.scale(), 0);
        prop_assert_eq!(whole.checked_add(left), Ok(number));
        prop_assert!(left.to_f64().abs() <= 0.5);
    }

    #[test]
    fn text_survives_a_round_trip(mantissa in -MAX_MANTISSA..=MAX_MANTISSA, exponent in -90i32..80) {
        let number = Decimal::from_parts(mantissa, exponent).unwrap();
        prop_assert_eq!(Decimal::parse(&number.to_string()), Ok(number));
    }

    #[test]
    fn sums_agree_with_integers(a: i64, b: i64, scale in 0u32..9) {
        let number = |units: i64| Decimal::from_parts(i128::from(units), -i32::try_from(scale).unwrap()).unwrap();
        let sum = number(a).checked_add(number(b)).unwrap();
        prop_assert_eq!(sum.units(scale), Some(i128::from(a) + i128::from(b)));
    }

    #[test]
    fn conversion_to_f64_gives_the_nearest_value(mantissa: i64, exponent in -30i32..30) {
        let text = format!("{mantissa}E{exponent}");
        prop_assert_eq!(Decimal::parse(&text).unwrap().to_f64(), text.parse::<f64>().unwrap());
    }

    #[test]
    fn no_text_panics(text in "[0-9eE+.-]{0,60}") {
        let _ = Decimal::parse(&text);
    }
}
