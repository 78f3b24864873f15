//! Why a model folder cannot be used: what is wrong, in which file, tensor or setting, and the way out.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// A model folder that cannot be loaded. Every message names the file and says what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The operating system refused to read.
    #[error("cannot read {}: {source}; check the path and its permissions", path.display())]
    Read {
        /// File or folder.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// A file that every model folder needs is absent.
    #[error("{} holds no {file}; a model folder needs config.json and model.safetensors (or model.safetensors.index.json with its shards)", dir.display())]
    MissingFile {
        /// Folder looked into.
        dir: PathBuf,
        /// What was looked for.
        file: &'static str,
    },
    /// Not the JSON that was expected.
    #[error("{} is not valid: {source}; the file may be cut short, fetch or write it again", path.display())]
    Json {
        /// File.
        path: PathBuf,
        /// Cause with line and column.
        source: serde_json::Error,
    },
    /// The file ends before its header does, or announces a header that no model needs.
    #[error("{}: the safetensors header claims {claimed} bytes, at most {available} are possible; the file is cut short or not a safetensors file", path.display())]
    HeaderLength {
        /// File.
        path: PathBuf,
        /// Length that the first eight bytes announce.
        claimed: u64,
        /// What can be accepted at most for this file.
        available: u64,
    },
    /// A tensor's bytes do not follow those of the tensor before it.
    #[error("{}: tensor {tensor} starts at byte {start} of the data where {expected} was due: tensors overlap or leave a hole; write the file again", path.display())]
    Offsets {
        /// File.
        path: PathBuf,
        /// Tensor.
        tensor: String,
        /// Announced start.
        start: usize,
        /// End of the tensor before it.
        expected: usize,
    },
    /// Shape and element type do not give the announced number of bytes.
    #[error("{}: tensor {tensor} of shape {shape:?} and type {dtype} cannot fill the {bytes} bytes set aside for it; write the file again", path.display())]
    TensorSize {
        /// File.
        path: PathBuf,
        /// Tensor.
        tensor: String,
        /// Announced shape.
        shape: Vec<usize>,
        /// Announced element type.
        dtype: String,
        /// Announced length.
        bytes: usize,
    },
    /// The tensors do not end where the file ends.
    #[error("{}: the header describes {described} bytes of data, the file holds {present}; the file is cut short or was appended to", path.display())]
    DataLength {
        /// File.
        path: PathBuf,
        /// End of the last tensor.
        described: usize,
        /// Bytes after the header.
        present: usize,
    },
    /// The same tensor twice, so that its values would be a matter of choice.
    #[error("{}: tensor {tensor} occurs twice; keep one of them", path.display())]
    DuplicateTensor {
        /// File in which the second one was met.
        path: PathBuf,
        /// Tensor.
        tensor: String,
    },
    /// The index of a sharded model does not fit its shards.
    #[error("{}: {problem}; fetch the index and all shards again", path.display())]
    Index {
        /// Index file.
        path: PathBuf,
        /// What does not fit.
        problem: String,
    },
    /// A tensor that the architecture needs is absent.
    #[error("{}: tensor {tensor} of shape {shape:?} is missing{hint}", path.display())]
    MissingTensor {
        /// Weight file or folder of shards.
        path: PathBuf,
        /// Tensor.
        tensor: String,
        /// Shape that the config asks for.
        shape: Vec<usize>,
        /// Way out, with its own punctuation.
        hint: &'static str,
    },
    /// A tensor of another shape than the config asks for.
    #[error("{}: tensor {tensor} has shape {found:?}, config.json asks for {expected:?}; one of the two files belongs to another model", path.display())]
    Shape {
        /// File.
        path: PathBuf,
        /// Tensor.
        tensor: String,
        /// Stored shape.
        found: Vec<usize>,
        /// Shape that the config asks for.
        expected: Vec<usize>,
    },
    /// An element type that does not widen to `f32` exactly.
    #[error("{}: tensor {tensor} is stored as {dtype}; llmprove reads F32, F16 and BF16, convert the weights first", path.display())]
    Dtype {
        /// File.
        path: PathBuf,
        /// Tensor.
        tensor: String,
        /// Stored element type.
        dtype: String,
    },
    /// A weight that is not a number, about which nothing can be proved.
    #[error("{}: tensor {tensor} holds {value} at {index:?}; the weights are damaged or the training diverged", path.display())]
    NonFinite {
        /// File.
        path: PathBuf,
        /// Tensor.
        tensor: String,
        /// Position, rows first.
        index: Vec<usize>,
        /// The value met.
        value: f32,
    },
    /// Tensors that the config gives no role.
    #[error("{}: nothing in config.json uses tensor {tensor} ({count} such tensors); the config describes another model, or the layer is not supported", path.display())]
    UnusedTensor {
        /// File.
        path: PathBuf,
        /// The first of them.
        tensor: String,
        /// How many.
        count: usize,
    },
    /// Tied weights that differ.
    #[error("{}: config.json ties the head to the embedding, but {tensor} differs from {other}; set tie_word_embeddings to false or remove {tensor}", path.display())]
    Tie {
        /// File.
        path: PathBuf,
        /// Tensor of the head.
        tensor: String,
        /// Tensor of the embedding.
        other: String,
    },
    /// An architecture that llmprove does not know.
    #[error("{}: model_type {found:?} is not supported; known families: {known}", path.display())]
    UnknownFamily {
        /// Config file.
        path: PathBuf,
        /// Value of `model_type`, or what stands in its place.
        found: String,
        /// Supported families.
        known: String,
    },
    /// A setting is absent.
    #[error("{}: {key} is missing; a {family} model needs it", path.display())]
    MissingSetting {
        /// Config file.
        path: PathBuf,
        /// Setting.
        key: String,
        /// Family.
        family: &'static str,
    },
    /// A setting whose value makes no sense or is not supported.
    #[error("{}: {key} = {found}: {problem}", path.display())]
    Setting {
        /// Config file.
        path: PathBuf,
        /// Setting.
        key: String,
        /// Its value.
        found: String,
        /// What is accepted instead.
        problem: String,
    },
    /// A setting that might change the function in a way that is not known here.
    #[error("{}: setting {key} = {found} is not understood for a {family} model and could change what it computes; remove it if it does not", path.display())]
    UnknownSetting {
        /// Config file.
        path: PathBuf,
        /// Setting.
        key: String,
        /// Its value.
        found: String,
        /// Family.
        family: &'static str,
    },
    /// No file says which text a token stands for.
    #[error("{} holds no vocabulary (tokenizer.json or vocab.json); name tokens by their ids, or add one", dir.display())]
    NoVocabulary {
        /// Folder looked into.
        dir: PathBuf,
    },
    /// A vocabulary file that cannot be used.
    #[error("{}: {problem}", path.display())]
    Vocabulary {
        /// Vocabulary file.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
}
