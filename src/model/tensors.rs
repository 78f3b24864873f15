//! The weight files of a folder, memory-mapped: named tensors read one at a time and widened to `f32` exactly.
//!
//! Either `model.safetensors`, or the shards that `model.safetensors.index.json` names (a folder with both uses the
//! former, as the `transformers` library does).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::Dtype;
use safetensors::tensor::TensorInfo;
use serde::Deserialize;

use super::error::LoadError;
use super::header::Header;

/// Weights in a single file.
pub const SINGLE: &str = "model.safetensors";
/// Names the shards otherwise.
pub const INDEX: &str = "model.safetensors.index.json";

/// All tensors of a folder.
#[derive(Debug)]
pub struct Tensors {
    /// Mapped weight files, in the order of their names.
    files: Vec<(PathBuf, Mmap)>,
    /// The index file and its content, for a sharded model.
    index: Option<(PathBuf, Vec<u8>)>,
    /// Tensor name to file and place in it.
    places: BTreeMap<String, (usize, TensorInfo)>,
}

/// The part of an index file that matters.
#[derive(Deserialize)]
struct Index {
    /// Tensor name to shard.
    weight_map: BTreeMap<String, String>,
}

impl Tensors {
    /// Maps the weight files of `dir` and checks their headers; reads no weights.
    ///
    /// # Errors
    /// Missing or unreadable files, and every defect of a header or an index.
    pub fn open(dir: &Path) -> Result<Tensors, LoadError> {
        let single = dir.join(SINGLE);
        if single.exists() {
            return Tensors::map(vec![single], None);
        }
        let path = dir.join(INDEX);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(LoadError::MissingFile { dir: dir.into(), file: SINGLE });
            }
            Err(source) => return Err(LoadError::Read { path, source }),
        };
        let index: Index = serde_json::from_slice(&bytes)
            .map_err(|source| LoadError::Json { path: path.clone(), source })?;
        let bad = |problem: String| LoadError::Index { path: path.clone(), problem };
        let shards: BTreeSet<&String> = index.weight_map.values().collect();
        if let Some(shard) = shards.iter().find(|s| Path::new(s).file_name().is_none_or(|f| f != s.as_str()))
        {
            return Err(bad(format!("shard {shard:?} is not a plain file name")));
        }
        if let Some(shard) = shards.iter().find(|s| !dir.join(s).exists()) {
            return Err(bad(format!("shard {shard} is not in the folder")));
        }
        let tensors =
            Tensors::map(shards.iter().map(|s| dir.join(s)).collect(), Some((path.clone(), bytes)))?;
        for (name, shard) in &index.weight_map {
            match tensors.places.get(name) {
                Some((file, _)) if tensors.files[*file].0 == dir.join(shard) => {}
                _ => return Err(bad(format!("tensor {name} is not in shard {shard}"))),
            }
        }
        if let Some(name) = tensors.places.keys().find(|name| !index.weight_map.contains_key(*name)) {
            return Err(bad(format!("a shard holds tensor {name}, which the index does not list")));
        }
        Ok(tensors)
    }

    fn map(paths: Vec<PathBuf>, index: Option<(PathBuf, Vec<u8>)>) -> Result<Tensors, LoadError> {
        let mut tensors = Tensors { files: Vec::new(), index, places: BTreeMap::new() };
        for path in paths {
            let read = |source| LoadError::Read { path: path.clone(), source };
            let file = File::open(&path).map_err(read)?;
            // SAFETY: the map is read-only. Another process that changes or truncates the file while it is mapped
            // would change the bytes under us; as for every user of memory maps, the folder must stay as it is
            // during a run. Certificates are bound to the digest, so that a later change cannot go unnoticed.
            let map = unsafe { Mmap::map(&file) }.map_err(read)?;
            for (name, info) in Header::parse(&map, &path)?.tensors {
                if tensors.places.contains_key(&name) {
                    return Err(LoadError::DuplicateTensor { path, tensor: name });
                }
                tensors.places.insert(name, (tensors.files.len(), info));
            }
            tensors.files.push((path, map));
        }
        Ok(tensors)
    }

    /// Files that make up the weights, with their bytes: shards or the single file, and the index if there is one.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &[u8])> {
        let index = self.index.iter().map(|(path, bytes)| (path.as_path(), bytes.as_slice()));
        self.files.iter().map(|(path, map)| (path.as_path(), &map[..])).chain(index)
    }

    /// The file to name in a message about a tensor that no file holds.
    #[must_use]
    pub fn path(&self) -> &Path {
        match &self.index {
            Some((path, _)) => path,
            None => &self.files[0].0,
        }
    }

    /// Whether some file holds the tensor.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// The stored shape of a tensor.
    #[must_use]
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.places.get(name).map(|(_, info)| info.shape.as_slice())
    }

    /// Names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.places.keys().map(String::as_str)
    }

    /// Whether two tensors are stored as the same bytes with the same type and shape.
    #[must_use]
    pub fn same(&self, a: &str, b: &str) -> bool {
        let (Some(a), Some(b)) = (self.places.get(a), self.places.get(b)) else { return false };
        a.1.dtype == b.1.dtype && a.1.shape == b.1.shape && self.bytes(a) == self.bytes(b)
    }

    /// Total number of stored numbers.
    #[must_use]
    pub fn n_numbers(&self) -> usize {
        self.places.values().map(|(_, info)| info.shape.iter().product::<usize>()).sum()
    }

    /// Element types that occur, for display.
    #[must_use]
    pub fn dtypes(&self) -> Vec<String> {
        let all: BTreeSet<Dtype> = self.places.values().map(|(_, info)| info.dtype).collect();
        all.iter().map(ToString::to_string).collect()
    }

    fn bytes(&self, (file, info): &(usize, TensorInfo)) -> &[u8] {
        &self.files[*file].1[info.data_offsets.0..info.data_offsets.1]
    }

    /// The numbers of a tensor, rows first, widened to `f32`.
    ///
    /// # Errors
    /// Missing tensor, another shape than `shape`, a type that is not F32, F16 or BF16, a NaN or an infinity.
    pub fn read(&self, name: &str, shape: &[usize], hint: &'static str) -> Result<Vec<f32>, LoadError> {
        let Some(place) = self.places.get(name) else {
            return Err(LoadError::MissingTensor {
                path: self.path().into(),
                tensor: name.into(),
                shape: shape.into(),
                hint,
            });
        };
        let (path, info) = (self.files[place.0].0.clone(), &place.1);
        let tensor = name.to_owned();
        if info.shape != shape {
            return Err(LoadError::Shape { path, tensor, found: info.shape.clone(), expected: shape.into() });
        }
        let bytes = self.bytes(place);
        let values = widen(info.dtype, bytes).ok_or_else(|| LoadError::Dtype {
            path: path.clone(),
            tensor: tensor.clone(),
            dtype: info.dtype.to_string(),
        })?;
        if let Some(at) = values.iter().position(|x| !x.is_finite()) {
            return Err(LoadError::NonFinite { path, tensor, index: unravel(at, shape), value: values[at] });
        }
        Ok(values)
    }
}

/// Exact conversion to `f32`; `None` for types that do not fit. Files are little endian.
fn widen(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    let values = match dtype {
        Dtype::F32 => bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        Dtype::F16 => bytes.as_chunks::<2>().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
        Dtype::BF16 => bytes.as_chunks::<2>().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect(),
        // The format grows; whatever is not listed above does not widen exactly.
        _ => return None,
    };
    Some(values)
}

/// Position of flat index `at` in a tensor of this shape, rows first.
fn unravel(mut at: usize, shape: &[usize]) -> Vec<usize> {
    let mut index: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&n| {
            let i = at % n;
            at /= n;
            i
        })
        .collect();
    index.reverse();
    index
}
