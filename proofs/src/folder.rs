//! A model folder on disk: its digest, its configuration and the tensors that a proof needs, read in one pass.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::config::{Config, Object};
use crate::family::{Family, Scope};
use crate::format::{hex, sha256_hex};
use crate::reject::InputError;
use crate::tensor::{Tensor, read_tensors};

/// Largest config.json or index in bytes.
const MAX_JSON_BYTES: u64 = 16 << 20;
const CONFIG: &str = "config.json";
const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// What was read from a model folder.
#[derive(Debug)]
pub(crate) struct Folder {
    /// SHA-256 over the list of files and their hashes.
    pub digest: String,
    /// config.json.
    pub config: Config,
    /// Its `model_type`.
    pub family: Family,
    /// Under their names without `transformer.`, `model.`, `gpt_neox.` or `rwkv.` in front.
    tensors: BTreeMap<String, Tensor>,
    /// Names that a rule asked for.
    used: Mutex<BTreeSet<String>>,
}

/// A reader that hashes what passes through it, so that what is used is what was hashed.
struct Hashing<R> {
    inner: R,
    hasher: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        Ok(n)
    }
}

/// Digest of a model folder: for config.json and each weight file (model.safetensors, or else
/// model.safetensors.index.json and the shards it names), sorted by name, a line `<sha256>  <name>\n`;
/// the digest is the SHA-256 (hex) of these lines.
///
/// # Errors
/// [`InputError`] if a file can't be read or the index is malformed.
pub fn model_digest(dir: &Path) -> Result<String, InputError> {
    let (files, mut hashes) = list_files(dir)?;
    hashes.insert(CONFIG.into(), sha256_hex(&read_json(&dir.join(CONFIG))?));
    for file in files {
        let path = dir.join(&file);
        let mut reader = open(&path)?;
        std::io::copy(&mut reader, &mut std::io::sink()).map_err(|e| unreadable(&path, e))?;
        hashes.insert(file, hex(&reader.hasher.finalize()));
    }
    Ok(digest(&hashes))
}

impl Folder {
    /// Reads the folder with all tensors that `scope` asks for.
    pub fn read(dir: &Path, scope: Scope) -> Result<Folder, InputError> {
        let (files, mut hashes) = list_files(dir)?;
        let config = read_json(&dir.join(CONFIG))?;
        hashes.insert(CONFIG.into(), sha256_hex(&config));
        let config = Config::parse(&config)?;
        let family = Family::of(&config)?;
        let is_tied = family.is_tied(&config)?;
        let want = |name: &str| family.reads(name, scope, is_tied);
        let mut tensors = BTreeMap::new();
        for file in files {
            let path = dir.join(&file);
            let length = std::fs::metadata(&path).map_err(|e| unreadable(&path, e))?.len();
            let mut reader = open(&path)?;
            for (name, tensor) in read_tensors(&mut reader, length, &path, &want)? {
                if tensors.insert(name.clone(), tensor).is_some() {
                    return Err(InputError::Tensor { name, what: "stored twice".into() });
                }
            }
            hashes.insert(file, hex(&reader.hasher.finalize()));
        }
        Ok(Folder { digest: digest(&hashes), config, family, tensors, used: Mutex::default() })
    }

    /// The tensor `name` (without `transformer.`, `model.`, `gpt_neox.` or `rwkv.` in front) if it is there; its shape must be `shape`.
    pub fn find(&self, name: &str, shape: &[usize]) -> Result<Option<&Tensor>, InputError> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(name.into());
        let Some(tensor) = self.tensors.get(name) else { return Ok(None) };
        if tensor.shape != shape {
            let what = format!("shape {:?} where the configuration implies {shape:?}", tensor.shape);
            return Err(InputError::Tensor { name: name.into(), what });
        }
        Ok(Some(tensor))
    }

    /// The same for a tensor that must be there.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<&Tensor, InputError> {
        let missing = || InputError::Tensor { name: name.into(), what: "missing".into() };
        self.find(name, shape)?.ok_or_else(missing)
    }

    /// Columns of the matrix `name`; 1 for what is none, so that asking for it by its shape says so.
    pub fn columns(&self, name: &str) -> usize {
        match self.tensors.get(name).map(|tensor| &tensor.shape[..]) {
            Some([_, columns]) => *columns,
            _ => 1,
        }
    }

    /// Refuses a tensor that was read but that no rule asked for: the model might be another one than the rules know.
    pub fn refuse_unused(&self) -> Result<(), InputError> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        match self.tensors.keys().find(|name| !used.contains(*name)) {
            Some(name) => {
                Err(InputError::Tensor { name: name.clone(), what: "not part of this family".into() })
            }
            None => Ok(()),
        }
    }
}

/// The weight files, and the hash of the index if there is one.
fn list_files(dir: &Path) -> Result<(Vec<String>, BTreeMap<String, String>), InputError> {
    if dir.join(SINGLE).exists() {
        return Ok((vec![SINGLE.into()], BTreeMap::new()));
    }
    let path = dir.join(INDEX);
    let bytes = match read_json(&path) {
        Err(InputError::Read { source, .. }) if source.kind() == ErrorKind::NotFound => {
            return Err(unreadable(&dir.join(SINGLE), source));
        }
        other => other?,
    };
    let malformed = |e: serde_json::Error| InputError::Malformed { path: path.clone(), what: e.to_string() };
    let index: Object = serde_json::from_slice(&bytes).map_err(malformed)?;
    let map = index.get("weight_map").map_or("{}", |map| map.get());
    let map: Object = serde_json::from_str(map).map_err(malformed)?;
    let mut files: Vec<String> = map
        .values()
        .map(|name| serde_json::from_str(name.get()))
        .collect::<Result<_, _>>()
        .map_err(malformed)?;
    files.sort();
    files.dedup();
    // A plain name can't lead out of the folder.
    let is_plain = |name: &String| Path::new(name).file_name().is_some_and(|base| base == name.as_str());
    if files.is_empty() || !files.iter().all(is_plain) {
        let what = "weight_map must name at least one file of this folder, without any path".into();
        return Err(InputError::Malformed { path, what });
    }
    Ok((files, BTreeMap::from([(INDEX.into(), sha256_hex(&bytes))])))
}

fn digest(hashes: &BTreeMap<String, String>) -> String {
    sha256_hex(hashes.iter().map(|(name, hash)| format!("{hash}  {name}\n")).collect::<String>().as_bytes())
}

fn open(path: &Path) -> Result<Hashing<BufReader<File>>, InputError> {
    let file = File::open(path).map_err(|e| unreadable(path, e))?;
    Ok(Hashing { inner: BufReader::with_capacity(1 << 16, file), hasher: Sha256::new() })
}

fn read_json(path: &Path) -> Result<Vec<u8>, InputError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|e| unreadable(path, e))?;
    file.take(MAX_JSON_BYTES + 1).read_to_end(&mut bytes).map_err(|e| unreadable(path, e))?;
    if u64::try_from(bytes.len()).is_ok_and(|n| n <= MAX_JSON_BYTES) {
        Ok(bytes)
    } else {
        Err(InputError::Malformed { path: path.into(), what: format!("over {MAX_JSON_BYTES} bytes") })
    }
}

fn unreadable(path: &Path, source: std::io::Error) -> InputError {
    InputError::Read { path: PathBuf::from(path), source }
}
