//! Codes of the Anatomical Therapeutic Chemical classification of drugs (ATC), and the names of its main groups.
//!
//! The names of the other levels are not here: the WHO has terms of use for them.

/// The anatomical main groups by the letter that codes begin with.
const GROUPS: [(u8, &str); 14] = [
    (b'A', "alimentary tract and metabolism"),
    (b'B', "blood and blood forming organs"),
    (b'C', "cardiovascular system"),
    (b'D', "dermatologicals"),
    (b'G', "genito-urinary system and sex hormones"),
    (b'H', "systemic hormonal preparations, without sex hormones and insulins"),
    (b'J', "antiinfectives for systemic use"),
    (b'L', "antineoplastic and immunomodulating agents"),
    (b'M', "musculo-skeletal system"),
    (b'N', "nervous system"),
    (b'P', "antiparasitic products, insecticides and repellents"),
    (b'R', "respiratory system"),
    (b'S', "sensory organs"),
    (b'V', "various"),
];

/// The anatomical main group of a code of any level; `None` when the text has not the form of a code.
///
/// ```
/// use dualk_sdk::data::atc;
/// assert_eq!(atc::group("C07AB02"), Some("cardiovascular system"));
/// assert_eq!([atc::group("C07AB"), atc::group("C")], [Some("cardiovascular system"); 2]);
/// assert_eq!([atc::group("Aspirin"), atc::group("C7"), atc::group("E01AA01")], [None; 3]);
/// ```
pub fn group(code: &str) -> Option<&'static str> {
    // A letter, two digits, a letter, a letter, two digits: five levels.
    let levels = [1, 3, 4, 5, 7].contains(&code.len());
    let form = code.bytes().zip(*b"A00AA00").all(|(byte, like)| match like {
        b'0' => byte.is_ascii_digit(),
        _ => byte.is_ascii_uppercase(),
    });
    let letter = code.bytes().next().filter(|_| levels && form)?;
    GROUPS.iter().find(|group| group.0 == letter).map(|group| group.1)
}
