//! Weights are decoded exactly, and malformed files are refused.

use std::io::Cursor;

use dashu_ratio::RBig;
use proptest::prelude::*;

use super::*;
use crate::interval::tests::{contains, exact};

/// A tensor of F32 values.
pub(crate) fn tensor(shape: &[usize], values: &[f32]) -> Tensor {
    let decode = |x: &f32| Dyadic::decode(x.to_bits(), 23, 8).unwrap();
    Tensor { shape: shape.to_vec(), values: values.iter().map(decode).collect() }
}

/// Its value in three ways: as an interval, in units, and from digits.
fn check(value: Dyadic, expected: f64) {
    let q = RBig::try_from(expected).unwrap();
    let x = value.interval();
    assert!(x.lo() == x.hi() && contains(&x, &q), "{value:?} is not {expected:e}");
    assert_eq!(exact(&(value.in_units(-149) << (256 - 149))), q);
    let (i, low, high) = value.digits(-149);
    let digits = (IBig::from(low) << (DIGIT_BITS * i)) + (IBig::from(high) << (DIGIT_BITS * (i + 1)));
    assert_eq!(digits, value.in_units(-149));
    assert!(low.abs() < 1 << DIGIT_BITS && high.abs() < 1 << DIGIT_BITS);
}

#[test]
fn every_16_bit_pattern_is_exact() {
    for bits in 0..=u16::MAX {
        let wide = f32::from_bits(u32::from(bits) << 16);
        match Dyadic::decode(bits.into(), 7, 8) {
            Some(value) => check(value, wide.into()),
            None => assert!(!wide.is_finite()),
        }
        let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
        let magnitude = match exponent {
            0 => fraction * 2f64.powi(-24),
            e => (1.0 + fraction / 1024.0) * 2f64.powi(e - 15),
        };
        match Dyadic::decode(bits.into(), 10, 5) {
            Some(value) => check(value, if bits >> 15 == 1 { -magnitude } else { magnitude }),
            None => assert_eq!(exponent, 31),
        }
    }
}

proptest! {
    #[test]
    fn f32_patterns_are_exact(bits in any::<u32>()) {
        let x = f32::from_bits(bits);
        match Dyadic::decode(bits, 23, 8) {
            Some(value) => check(value, x.into()),
            None => prop_assert!(!x.is_finite()),
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), size in 0..300_u64) {
        let mut file = size.to_le_bytes().to_vec();
        file.extend(bytes);
        let length = u64::try_from(file.len()).unwrap();
        let _ = read_tensors(&mut Cursor::new(file), length, Path::new("x"), &|_| true);
    }
}

fn read(header: &str, data: &[u8]) -> Result<BTreeMap<String, Tensor>, InputError> {
    let mut file = u64::try_from(header.len()).unwrap().to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(data);
    let length = u64::try_from(file.len()).unwrap();
    read_tensors(&mut Cursor::new(file), length, Path::new("x"), &|name| name != "unwanted")
}

#[test]
fn a_well_formed_file_is_read() {
    let header = r#"{"__metadata__":{"format":"pt"},
        "unwanted":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},
        "transformer.b":{"dtype":"BF16","shape":[2],"data_offsets":[12,16]},
        "a":{"dtype":"F32","shape":[1,1],"data_offsets":[8,12]}}"#;
    let tensors = read(header, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128, 63, 0, 64, 0, 192]).unwrap();
    assert_eq!(tensors.keys().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(tensors["a"].values, tensor(&[1], &[1.0]).values);
    assert_eq!(tensors["b"].intervals(), [Interval::from_int(2), Interval::from_int(-2)]);
}

#[test]
fn malformed_files_are_refused() {
    let entry = |fields: &str| format!("{{\"a\":{{{fields}}}}}");
    let table = [
        ("no header", String::new(), 0),
        ("not an object", "[]".into(), 0),
        ("truncated header", r#"{"a":{"dtype":"F32","#.into(), 0),
        ("missing field", entry(r#""dtype":"F32","shape":[1]"#), 4),
        ("unknown type", entry(r#""dtype":"F31","shape":[1],"data_offsets":[0,4]"#), 4),
        ("type that is not read", entry(r#""dtype":"I32","shape":[1],"data_offsets":[0,4]"#), 4),
        ("negative axis", entry(r#""dtype":"F32","shape":[-1],"data_offsets":[0,4]"#), 4),
        ("size that does not fit the shape", entry(r#""dtype":"F32","shape":[2],"data_offsets":[0,4]"#), 4),
        ("shape that overflows", entry(r#""dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]"#), 4),
        ("end before begin", entry(r#""dtype":"F32","shape":[1],"data_offsets":[4,0]"#), 4),
        ("offsets that overflow", entry(r#""dtype":"F32","shape":[1],"data_offsets":[18446744073709551615,3]"#), 4),
        ("begins after a gap", entry(r#""dtype":"F32","shape":[1],"data_offsets":[4,8]"#), 8),
        ("ends beyond the file", entry(r#""dtype":"F32","shape":[2],"data_offsets":[0,8]"#), 4),
        ("bytes left over", entry(r#""dtype":"F32","shape":[1],"data_offsets":[0,4]"#), 5),
        (
            "overlap",
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}"#
                .into(),
            6,
        ),
        (
            "same name twice",
            r#"{"transformer.a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},
                "a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#
                .into(),
            8,
        ),
    ];
    for (defect, header, n_bytes) in table {
        assert!(read(&header, &vec![0; n_bytes]).is_err(), "{defect}");
    }
    let header = entry(r#""dtype":"F32","shape":[2],"data_offsets":[0,8]"#);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let error = read(&header, &[[0; 4], bad.to_le_bytes()].concat()).unwrap_err();
        assert_eq!(error.to_string(), "tensor a: element 1 is NaN or infinite");
    }
    // The file may also be shorter than its directory entry says.
    let mut file = Cursor::new([0; 4]);
    assert!(read_tensors(&mut file, 4, Path::new("x"), &|_| true).is_err());
    let mut file = Cursor::new([255; 16]);
    assert!(read_tensors(&mut file, 16, Path::new("x"), &|_| true).is_err());
}
