//! What a plugin says of itself, as bytes that can be read without running any of its code.

use super::Registrar;
use std::fmt;

/// The symbol that [`export_plugin!`](crate::export_plugin) defines.
pub const DESCRIPTOR_SYMBOL: &[u8] = b"DUALK_PLUGIN\0";

/// Start of a descriptor in a plugin's file.
const MAGIC: [u8; 16] = *b"\x7fDUALK-PLUGIN\x01\x02\n";

/// The form of [`Descriptor`]; raised when its fields change.
pub(super) const LAYOUT: u32 = 1;

/// The symbol of [`anchor`].
pub(super) const ANCHOR_SYMBOL: &[u8] = b"DUALK_SDK_ANCHOR\0";

#[allow(unsafe_code)] // the loader looks it up through each plugin
#[unsafe(no_mangle)]
static DUALK_SDK_ANCHOR: u8 = 0;

/// Address of a static of this SDK: the same for host and plugin only when both run on one copy of it.
pub fn anchor() -> *const u8 {
    &raw const DUALK_SDK_ANCHOR
}

/// A text in a fixed number of bytes, filled up with zeros.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Text<const N: usize>([u8; N]);

impl<const N: usize> Text<N> {
    /// Copies `text`.
    ///
    /// # Panics
    /// At compile time, when `text` has `N` bytes or more.
    pub const fn new(text: &str) -> Self {
        Self::concat(&[text])
    }

    /// Copies all `parts`, one after the other.
    pub const fn concat(parts: &[&str]) -> Self {
        let mut bytes = [0; N];
        let (mut part, mut at) = (0, 0);
        while part < parts.len() {
            let text = parts[part].as_bytes();
            let mut i = 0;
            while i < text.len() {
                assert!(at + 1 < N, "the text is too long for the plugin's descriptor");
                bytes[at] = text[i];
                (i, at) = (i + 1, at + 1);
            }
            part += 1;
        }
        Self(bytes)
    }

    fn read(bytes: &[u8]) -> String {
        let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    }
}

/// What an SDK build is: host and plugin must agree on every field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// `rustc -V`.
    pub rustc: String,
    /// Version of the SDK.
    pub sdk: String,
    /// Version of burn.
    pub burn: String,
    /// Target triple.
    pub target: String,
    /// Optimisation and assertions.
    pub profile: String,
    /// Cargo features of the SDK.
    pub features: String,
    /// Hash of the SDK's sources.
    pub build: String,
}

impl Stamp {
    /// The stamp of this SDK.
    pub fn current() -> Self {
        Self {
            rustc: env!("DUALK_RUSTC").into(),
            sdk: env!("CARGO_PKG_VERSION").into(),
            burn: env!("DUALK_BURN").into(),
            target: env!("DUALK_TARGET").into(),
            profile: env!("DUALK_PROFILE").into(),
            features: env!("DUALK_FEATURES").into(),
            build: env!("DUALK_BUILD").into(),
        }
    }

    /// Field by field: name, and value.
    pub fn fields(&self) -> [(&'static str, &str); 7] {
        [
            ("SDK version", &self.sdk),
            ("compiler", &self.rustc),
            ("burn version", &self.burn),
            ("target", &self.target),
            ("SDK features", &self.features),
            ("profile", &self.profile),
            ("SDK build", &self.build),
        ]
    }
}

/// What [`export_plugin!`](crate::export_plugin) puts into a plugin. Texts first, so that they can be read from the
/// file; `anchor` and `register` are read after loading.
#[repr(C)]
pub struct Descriptor {
    magic: [u8; 16],
    layout: u32,
    size: u32,
    rustc: Text<128>,
    sdk: Text<32>,
    burn: Text<32>,
    target: Text<64>,
    profile: Text<64>,
    features: Text<128>,
    build: Text<32>,
    name: Text<64>,
    version: Text<32>,
    components: Text<2048>,
    /// The plugin's view of [`anchor`].
    pub(super) anchor: fn() -> *const u8,
    /// Adds the plugin's components.
    pub(super) register: fn(&mut Registrar<'_>),
}

impl Descriptor {
    /// Used by [`export_plugin!`](crate::export_plugin) only: it stamps the SDK that the plugin is compiled against.
    pub const fn new(name: &str, version: &str, components: &[&str], register: fn(&mut Registrar<'_>)) -> Self {
        Self {
            magic: MAGIC,
            layout: LAYOUT,
            size: size_of::<Self>() as u32,
            rustc: Text::new(env!("DUALK_RUSTC")),
            sdk: Text::new(env!("CARGO_PKG_VERSION")),
            burn: Text::new(env!("DUALK_BURN")),
            target: Text::new(env!("DUALK_TARGET")),
            profile: Text::new(env!("DUALK_PROFILE")),
            features: Text::new(env!("DUALK_FEATURES")),
            build: Text::new(env!("DUALK_BUILD")),
            name: Text::new(name),
            version: Text::new(version),
            components: Text::concat(components),
            anchor,
            register,
        }
    }
}

impl fmt::Debug for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Descriptor").field("name", &Text::<64>::read(&self.name.0)).finish_non_exhaustive()
    }
}

/// The texts of a descriptor found in a file.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub layout: u32,
    pub stamp: Stamp,
    pub name: String,
    pub version: String,
    /// Lines `slot name`.
    pub components: String,
}

/// Looks for a descriptor in the bytes of a file.
pub(super) fn find(file: &[u8]) -> Option<Found> {
    // Assembled at run time, so that the needle itself is in no file.
    let mut needle = MAGIC.map(|b| std::hint::black_box(b) ^ 0x55);
    needle.iter_mut().for_each(|b| *b ^= 0x55);
    let starts = file.windows(needle.len()).enumerate().filter(|(_, w)| **w == needle).map(|(i, _)| i);
    starts.filter_map(|start| read(&file[start..])).next()
}

fn read(bytes: &[u8]) -> Option<Found> {
    let mut at = 16;
    let mut take = |n: usize| {
        let field = bytes.get(at..at + n)?;
        at += n;
        Some(field)
    };
    let layout = u32::from_le_bytes(take(4)?.try_into().ok()?);
    let _size = take(4)?;
    let mut text = |n| Some(Text::<0>::read(take(n)?));
    let (rustc, sdk, burn, target) = (text(128)?, text(32)?, text(32)?, text(64)?);
    let (profile, features, build) = (text(64)?, text(128)?, text(32)?);
    let (name, version, components) = (text(64)?, text(32)?, text(2048)?);
    let plausible = rustc.starts_with("rustc ") && !name.is_empty();
    let stamp = Stamp { rustc, sdk, burn, target, profile, features, build };
    plausible.then_some(Found { layout, stamp, name, version, components })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_is_found_in_bytes() {
        let descriptor = Descriptor::new("demo", "1.2.3", &["fusion", " ", "mean", "\n"], |_| {});
        let size = size_of::<Descriptor>();
        #[allow(unsafe_code)] // reading a plain `repr(C)` struct as bytes
        let bytes = unsafe { std::slice::from_raw_parts((&raw const descriptor).cast::<u8>(), size) };
        let file = [&[7u8; 13][..], bytes, &[9u8; 5][..]].concat();
        let found = find(&file).unwrap();
        assert_eq!((found.name.as_str(), found.components.as_str()), ("demo", "fusion mean\n"));
        assert_eq!((found.layout, found.stamp), (LAYOUT, Stamp::current()));
        assert!(find(&file[..200]).is_none());
    }
}
