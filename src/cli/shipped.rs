//! The model that is used without `--model`: that of the source folder or, where it is gone, the copy in this binary.

use std::io;
use std::path::{Path, PathBuf};

/// Where it lies in the source folder.
const FOLDER: &str = "models/moby-l1";

macro_rules! file {
    ($name:literal) => {
        ($name, include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/models/moby-l1/", $name)))
    };
}

/// The files of the model.
const FILES: [(&str, &[u8]); 3] = [file!("config.json"), file!("model.safetensors"), file!("vocab.json")];

/// The folder of the shipped model, written out first if need be.
pub fn folder() -> io::Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER);
    if source.is_dir() {
        // Named as the user would, so that printed command lines are short and can be copied.
        let here = std::env::current_dir().ok();
        let short = here.and_then(|here| source.strip_prefix(here).ok().map(Path::to_path_buf));
        return Ok(short.unwrap_or(source));
    }
    unpack(&data_folder().join("llmprove").join(FOLDER))
}

/// Where programs of this user keep their data.
fn data_folder() -> PathBuf {
    let path = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    path("XDG_DATA_HOME")
        .or_else(|| path("HOME").map(|home| home.join(".local/share")))
        .or_else(|| path("LOCALAPPDATA"))
        .unwrap_or_else(std::env::temp_dir)
}

/// Writes the files that are not there yet. Each appears under its name only when it is complete.
fn unpack(dir: &Path) -> io::Result<PathBuf> {
    std::fs::create_dir_all(dir)?;
    for (name, bytes) in FILES {
        let file = dir.join(name);
        if std::fs::read(&file).is_ok_and(|found| found == bytes) {
            continue;
        }
        let part = dir.join(format!("{name}.{}", std::process::id()));
        std::fs::write(&part, bytes)?;
        std::fs::rename(&part, &file)?;
    }
    Ok(dir.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_in_the_binary_is_the_model_and_damage_is_repaired() {
        let dir = tempfile::tempdir().unwrap();
        let model = unpack(&dir.path().join("a/b")).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER);
        std::fs::write(model.join("config.json"), "{").unwrap();
        unpack(&model).unwrap();
        for (name, _) in FILES {
            assert_eq!(std::fs::read(model.join(name)).unwrap(), std::fs::read(source.join(name)).unwrap());
        }
        assert_eq!(std::fs::read_dir(&model).unwrap().count(), FILES.len());
    }
}
