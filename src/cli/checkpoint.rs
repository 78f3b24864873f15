//! `--checkpoint FILE`: the state of a long run in a file, replaced as a whole so that a kill at any moment leaves a good one.

use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use llmprove::checkpoint::Storage;

/// A file.
pub struct StateFile(pub PathBuf);

impl Storage for StateFile {
    fn load(&self) -> Result<Option<Vec<u8>>, String> {
        match std::fs::read(&self.0) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(format!("cannot read the checkpoint {}: {e}", self.0.display())),
        }
    }

    fn save(&self, state: &[u8]) -> Result<(), String> {
        let mut new = self.0.clone().into_os_string();
        new.push(".new");
        let write = || {
            let mut file = std::fs::File::create(&new)?;
            file.write_all(state)?;
            file.sync_data()?;
            std::fs::rename(&new, &self.0)
        };
        write().map_err(|e| format!("cannot write the checkpoint {}: {e}", self.0.display()))
    }
}
