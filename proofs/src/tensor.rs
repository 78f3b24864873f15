//! Weights as exact dyadic numbers, read from the safetensors format with a validated header.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use dashu_int::IBig;
use serde::Deserialize;

use crate::config::Object;
use crate::interval::Interval;
use crate::reject::InputError;

/// Largest safetensors header in bytes, as in the format's own reader.
const MAX_HEADER_BYTES: u64 = 100_000_000;
/// Elements decoded at a time.
const CHUNK: usize = 1 << 14;

/// Bits of a digit in [`Dyadic::digits`].
pub(crate) const DIGIT_BITS: usize = 56;

/// The number `mantissa · 2^exponent`, with `|mantissa| < 2^24` and `exponent >= -149`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dyadic {
    mantissa: i32,
    exponent: i16,
}

/// An array of exact numbers in row-major order.
#[derive(Debug, Clone)]
pub(crate) struct Tensor {
    /// Extent of each axis.
    pub shape: Vec<usize>,
    /// Product of `shape` numbers.
    pub values: Vec<Dyadic>,
}

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (u64, u64),
}

impl Dyadic {
    /// Decodes an IEEE 754 pattern with `p` stored mantissa bits and `e` exponent bits; `None` for NaN and infinity.
    /// Normal numbers are `(2^p + f) · 2^(exp − bias − p)`, subnormal ones `f · 2^(1 − bias − p)`.
    fn decode(bits: u32, p: u32, e: u32) -> Option<Dyadic> {
        let field = |value: u32| i32::try_from(value).ok();
        let (fraction, biased) = (field(bits & ((1 << p) - 1))?, field((bits >> p) & ((1 << e) - 1))?);
        let least = 2 - (1 << (e - 1)) - field(p)?; // 1 − bias − p
        if biased == (1 << e) - 1 {
            return None;
        }
        let (magnitude, exponent) =
            if biased == 0 { (fraction, least) } else { (fraction + (1 << p), least + biased - 1) };
        let negative = bits >> (p + e) == 1;
        let mantissa = if negative { -magnitude } else { magnitude };
        Some(Dyadic { mantissa, exponent: i16::try_from(exponent).ok()? })
    }

    /// The number in units of `2^unit`; `unit` must not exceed its exponent unless it is zero.
    pub fn in_units(self, unit: i16) -> IBig {
        if self.mantissa == 0 { IBig::ZERO } else { IBig::from(self.mantissa) << self.shift(unit) }
    }

    /// The number, exactly: all F32 are multiples of 2^-149.
    pub fn interval(self) -> Interval {
        Interval::scaled(&IBig::from(self.mantissa), i32::from(self.exponent))
    }

    /// Two digits `(low, high)` and the position `i` of the low one: the number in units of `2^unit` is
    /// `low · 2^(56 i) + high · 2^(56 (i + 1))`, both of one sign and below 2^56 in magnitude.
    pub fn digits(self, unit: i16) -> (usize, i64, i64) {
        if self.mantissa == 0 {
            return (0, 0, 0);
        }
        let shift = self.shift(unit);
        let wide = i128::from(self.mantissa) << (shift % DIGIT_BITS);
        let base = 1_i128 << DIGIT_BITS;
        let narrow = |digit: i128| i64::try_from(digit).expect("a digit has at most 56 bits");
        (shift / DIGIT_BITS, narrow(wide % base), narrow(wide / base))
    }

    fn shift(self, unit: i16) -> usize {
        usize::try_from(self.exponent - unit).expect("the unit is at or below every exponent")
    }
}

impl Tensor {
    /// The largest `e` such that every value is a multiple of `2^e`.
    pub fn unit(&self) -> i16 {
        self.values.iter().filter(|v| v.mantissa != 0).map(|v| v.exponent).min().unwrap_or(0)
    }

    /// The values one by one.
    pub fn intervals(&self) -> Vec<Interval> {
        self.values.iter().map(|value| value.interval()).collect()
    }

    /// A matrix with rows and columns exchanged.
    pub fn transposed(&self) -> Tensor {
        let [rows, columns] = self.shape[..] else { return self.clone() };
        let values =
            (0..columns).flat_map(|c| (0..rows).map(move |r| self.values[r * columns + c])).collect();
        Tensor { shape: vec![columns, rows], values }
    }

    /// Some rows of a matrix, or some elements of a vector.
    pub fn rows(&self, rows: std::ops::Range<usize>) -> Tensor {
        let row: usize = self.shape[1..].iter().product();
        let shape = [&[rows.len()], &self.shape[1..]].concat();
        Tensor { shape, values: self.values[rows.start * row..rows.end * row].to_vec() }
    }

    /// How many digits the values need in units of `2^unit()`.
    pub fn n_digits(&self) -> usize {
        let unit = self.unit();
        self.values.iter().map(|v| v.digits(unit).0 + 2).max().unwrap_or(2)
    }
}

/// Bytes of an element of a storage type, and for the types read here the bits of mantissa and exponent.
fn storage(dtype: &str) -> Option<(usize, Option<[u32; 2]>)> {
    match dtype {
        "F32" => Some((4, Some([23, 8]))),
        "F16" => Some((2, Some([10, 5]))),
        "BF16" => Some((2, Some([7, 8]))),
        "F64" | "I64" | "U64" => Some((8, None)),
        "I32" | "U32" => Some((4, None)),
        "I16" | "U16" => Some((2, None)),
        "I8" | "U8" | "BOOL" => Some((1, None)),
        _ => None,
    }
}

/// Reads one safetensors file of `length` bytes to its end and returns the tensors that `want` picks.
/// The header must cover the data exactly: no gap, no overlap, no byte left.
pub(crate) fn read_tensors(
    reader: &mut impl Read,
    length: u64,
    path: &Path,
    want: &dyn Fn(&str) -> bool,
) -> Result<BTreeMap<String, Tensor>, InputError> {
    let malformed = |what: String| InputError::Malformed { path: path.into(), what };
    let unreadable = |source| InputError::Read { path: path.into(), source };
    let mut size = [0; 8];
    reader.read_exact(&mut size).map_err(unreadable)?;
    let size = u64::from_le_bytes(size);
    if size > MAX_HEADER_BYTES || size.checked_add(8).is_none_or(|end| end > length) {
        return Err(malformed(format!("a header of {size} bytes in a file of {length}")));
    }
    let mut header = Vec::new();
    reader.take(size).read_to_end(&mut header).map_err(unreadable)?;
    let header: Object = serde_json::from_slice(&header).map_err(|e| malformed(format!("header: {e}")))?;
    let mut entries = Vec::new();
    for (name, raw) in header.iter().filter(|(name, _)| *name != "__metadata__") {
        let entry: Entry = serde_json::from_str(raw.get()).map_err(|e| malformed(format!("{name}: {e}")))?;
        entries.push((entry, name));
    }
    entries.sort_by_key(|(entry, _)| entry.data_offsets);

    let mut tensors = BTreeMap::new();
    let (mut position, end_of_data) = (0, length - 8 - size);
    for (entry, name) in entries {
        let (begin, end) = entry.data_offsets;
        let fault = |what: String| InputError::Tensor { name: name.clone(), what };
        let (width, float) =
            storage(&entry.dtype).ok_or_else(|| fault(format!("unknown type {}", entry.dtype)))?;
        let bytes = entry.shape.iter().try_fold(width, |n, axis| n.checked_mul(*axis));
        let bytes = bytes.filter(|n| u64::try_from(*n).ok().and_then(|n| begin.checked_add(n)) == Some(end));
        let Some(bytes) = bytes.filter(|_| begin == position && end <= end_of_data) else {
            let what =
                format!("bytes {begin}..{end} don't follow {position} or don't hold {:?}", entry.shape);
            return Err(fault(what));
        };
        position = end;
        let short = ["transformer.", "model.", "gpt_neox.", "rwkv."]
            .iter()
            .find_map(|front| name.strip_prefix(front));
        let short = short.unwrap_or(name);
        let mut data = reader.take(end - begin);
        if !want(short) {
            std::io::copy(&mut data, &mut std::io::sink()).map_err(unreadable)?;
            continue;
        }
        let float = float.ok_or_else(|| fault(format!("type {} (need F32, F16 or BF16)", entry.dtype)))?;
        let values = decode(&mut data, float, width, bytes / width).map_err(unreadable)?;
        let values = values.map_err(|index| fault(format!("element {index} is NaN or infinite")))?;
        if tensors.insert(short.to_string(), Tensor { shape: entry.shape, values }).is_some() {
            return Err(fault("stored twice".into()));
        }
    }
    if position != end_of_data {
        return Err(malformed(format!("{} bytes after the last tensor", end_of_data - position)));
    }
    Ok(tensors)
}

/// Decodes `count` little-endian elements; the inner error is the index of the first that is not finite.
fn decode(
    data: &mut impl Read,
    [mantissa_bits, exponent_bits]: [u32; 2],
    width: usize,
    count: usize,
) -> std::io::Result<Result<Vec<Dyadic>, usize>> {
    let mut values = Vec::new();
    let mut buffer = vec![0; CHUNK * width];
    while values.len() < count {
        let bytes = &mut buffer[..width * CHUNK.min(count - values.len())];
        data.read_exact(bytes)?;
        for element in bytes.chunks_exact(width) {
            let bits = element.iter().rev().fold(0, |bits, byte| bits << 8 | u32::from(*byte));
            match Dyadic::decode(bits, mantissa_bits, exponent_bits) {
                Some(value) => values.push(value),
                None => return Ok(Err(values.len())),
            }
        }
    }
    Ok(Ok(values))
}

#[cfg(test)]
pub(crate) mod tests;
