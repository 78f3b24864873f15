//! The header of a safetensors file: which tensor lies where.
//!
//! Format: eight bytes of length `n` (little endian), `n` bytes of JSON `{name: {dtype, shape, data_offsets}}`, then the
//! data. Accepted only if the tensors follow each other without hole or overlap and end where the file ends, and if no
//! name occurs twice, so that every reader of the file sees the same numbers. The length is tested before anything is
//! allocated. Source: github.com/huggingface/safetensors, section *Format*.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use safetensors::tensor::TensorInfo;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::error::LoadError;

/// Longest header that is read, in bytes. That of a model with a thousand layers stays below it.
const MAX_HEADER: u64 = 32 << 20;

/// A checked header: offsets count from the start of the file and lie inside it.
#[derive(Debug)]
pub struct Header {
    /// Name to type, shape and byte range in the file.
    pub tensors: BTreeMap<String, TensorInfo>,
}

impl Header {
    /// Reads and checks the header of a whole file given as `bytes`; `path` is for messages.
    ///
    /// # Errors
    /// One variant of [`LoadError`] for each way in which a header can be wrong.
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Header, LoadError> {
        let in_file = (bytes.len() as u64).saturating_sub(8);
        let claimed = bytes.first_chunk::<8>().map_or(0, |head| u64::from_le_bytes(*head));
        let available = in_file.min(MAX_HEADER);
        if bytes.len() < 8 || claimed > available {
            return Err(LoadError::HeaderLength { path: path.into(), claimed, available });
        }
        let data_start = 8 + usize::try_from(claimed).expect("it is at most MAX_HEADER");
        let Entries(mut entries) = serde_json::from_slice(&bytes[8..data_start])
            .map_err(|source| LoadError::Json { path: path.into(), source })?;
        entries.sort_by_key(|(_, info)| info.data_offsets);

        let mut tensors = BTreeMap::new();
        let mut expected = 0;
        for (name, mut info) in entries {
            let (start, end) = info.data_offsets;
            if start != expected {
                return Err(LoadError::Offsets { path: path.into(), tensor: name, start, expected });
            }
            if n_bytes(&info) != end.checked_sub(start) {
                return Err(LoadError::TensorSize {
                    path: path.into(),
                    tensor: name,
                    dtype: info.dtype.to_string(),
                    bytes: end.saturating_sub(start),
                    shape: info.shape,
                });
            }
            expected = end;
            info.data_offsets = (start.saturating_add(data_start), end.saturating_add(data_start));
            if tensors.contains_key(&name) {
                return Err(LoadError::DuplicateTensor { path: path.into(), tensor: name });
            }
            tensors.insert(name, info);
        }
        let present = bytes.len() - data_start;
        if expected != present {
            return Err(LoadError::DataLength { path: path.into(), described: expected, present });
        }
        Ok(Header { tensors })
    }
}

/// Bytes that shape and type ask for; `None` on overflow or for a broken byte.
fn n_bytes(info: &TensorInfo) -> Option<usize> {
    let elements = info.shape.iter().try_fold(1usize, |n, &axis| n.checked_mul(axis))?;
    let bits = elements.checked_mul(info.dtype.bitsize())?;
    (bits % 8 == 0).then_some(bits / 8)
}

/// Header entries in file order, repeated names kept so that they can be refused.
struct Entries(Vec<(String, TensorInfo)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Entries, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Entries;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        entries.push((name, map.next_value()?));
                    }
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}
