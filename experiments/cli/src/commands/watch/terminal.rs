//! The terminal: ANSI sequences, and keys without Enter.
//!
//! ratatui's own backends would change the features of crates that burn is built with, and half an hour of compiling.

use ratatui::backend::{Backend, ClearType, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};
use ratatui::style::{Color, Modifier};
use std::io::{Error, IsTerminal, Write, stdin, stdout};
#[cfg(unix)]
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Draws by ANSI sequences on standard output.
#[derive(Default)]
pub struct Ansi {
    out: Vec<u8>,
}

impl Backend for Ansi {
    type Error = Error;

    fn draw<'a, I>(&mut self, content: I) -> Result<(), Error>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        for (x, y, cell) in content {
            let bold = if cell.modifier.contains(Modifier::BOLD) { ";1" } else { "" };
            let reversed = if cell.modifier.contains(Modifier::REVERSED) { ";7" } else { "" };
            let (fore, back) = (colour(cell.fg, 30), colour(cell.bg, 40));
            write!(self.out, "\x1b[{};{}H\x1b[0{bold}{reversed};{fore};{back}m{}", y + 1, x + 1, cell.symbol())?;
        }
        write!(self.out, "\x1b[0m")
    }

    fn hide_cursor(&mut self) -> Result<(), Error> {
        write!(self.out, "\x1b[?25l")
    }

    fn show_cursor(&mut self) -> Result<(), Error> {
        write!(self.out, "\x1b[?25h")
    }

    fn get_cursor_position(&mut self) -> Result<Position, Error> {
        Ok(Position::ORIGIN) // asked for by inline views alone
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> Result<(), Error> {
        let Position { x, y } = position.into();
        write!(self.out, "\x1b[{};{}H", y + 1, x + 1)
    }

    fn clear(&mut self) -> Result<(), Error> {
        write!(self.out, "\x1b[2J")
    }

    fn clear_region(&mut self, _: ClearType) -> Result<(), Error> {
        self.clear()
    }

    fn size(&self) -> Result<Size, Error> {
        Ok(size())
    }

    fn window_size(&mut self) -> Result<WindowSize, Error> {
        Ok(WindowSize { columns_rows: size(), pixels: Size::ZERO })
    }

    fn flush(&mut self) -> Result<(), Error> {
        let mut out = stdout().lock();
        out.write_all(&self.out)?;
        self.out.clear();
        out.flush()
    }
}

fn colour(colour: Color, base: u8) -> u8 {
    base + match colour {
        Color::Black => 0,
        Color::Red => 1,
        Color::Green => 2,
        Color::Yellow => 3,
        Color::Blue => 4,
        Color::Magenta => 5,
        Color::Cyan => 6,
        Color::White | Color::Gray => 7,
        _ => 9, // the terminal's own
    }
}

#[cfg(unix)]
fn size() -> Size {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the call fills the structure it is given, or fails and leaves it.
    #[allow(unsafe_code)]
    let answered = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &mut size) } == 0;
    match answered && size.ws_col > 0 && size.ws_row > 0 {
        true => Size::new(size.ws_col, size.ws_row),
        false => Size::new(80, 24),
    }
}

#[cfg(not(unix))]
fn size() -> Size {
    Size::new(80, 24)
}

/// How the terminal was before [`Raw`].
#[cfg(unix)]
static BEFORE: Mutex<Option<libc::termios>> = Mutex::new(None);

/// A terminal that gives keys without Enter, on its other screen; as it was when dropped.
pub struct Raw(());

#[cfg(unix)]
impl Raw {
    /// `None` where standard input or output is no terminal.
    pub fn enter() -> Option<Self> {
        if !stdin().is_terminal() || !stdout().is_terminal() {
            return None;
        }
        // SAFETY: an all-zero termios is valid, and the call fills it.
        #[allow(unsafe_code)]
        let before = unsafe {
            let mut before: libc::termios = std::mem::zeroed();
            (libc::tcgetattr(libc::STDIN_FILENO, &mut before) == 0).then_some(before)
        }?;
        let mut raw = before;
        raw.c_lflag &= !(libc::ICANON | libc::ECHO | libc::ISIG);
        // SAFETY: the structure came from tcgetattr.
        #[allow(unsafe_code)]
        let set = unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, &raw) } == 0;
        switch("\x1b[?1049h");
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        let raw = Self(());
        set.then_some(raw)
    }

    /// Waits for a key that leaves: q, Esc or Ctrl-C.
    pub fn leaves_within(&self, time: Duration) -> bool {
        let mut poll = libc::pollfd { fd: libc::STDIN_FILENO, events: libc::POLLIN, revents: 0 };
        let mut key = [0u8; 1];
        // SAFETY: one descriptor, and one byte to read into.
        #[allow(unsafe_code)]
        let read = unsafe {
            libc::poll(&mut poll, 1, time.as_millis() as libc::c_int) > 0
                && libc::read(libc::STDIN_FILENO, key.as_mut_ptr().cast(), 1) == 1
        };
        let hung_up = poll.revents & (libc::POLLHUP | libc::POLLERR) != 0;
        hung_up || (read && matches!(key[0], b'q' | b'Q' | 0x1b | 3 | 4))
    }
}

/// Tells the terminal, which may be gone, to show another screen.
#[cfg(unix)]
fn switch(sequence: &str) {
    let mut out = stdout().lock();
    let _ = out.write_all(sequence.as_bytes()).and_then(|()| out.flush());
}

#[cfg(unix)]
impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

/// Makes the terminal what it was before [`Raw`], where there is one: whoever ends the process drops nothing.
#[cfg(unix)]
pub fn restore() {
    let Some(before) = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
    switch("\x1b[?1049l\x1b[?25h");
    // SAFETY: the structure came from tcgetattr.
    #[allow(unsafe_code)]
    unsafe {
        libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, &before);
    }
}

/// Nothing was changed.
#[cfg(not(unix))]
pub fn restore() {}

#[cfg(not(unix))]
impl Raw {
    /// Pictures alone, where keys cannot be read.
    pub fn enter() -> Option<Self> {
        let _ = (stdin().is_terminal(), stdout().is_terminal());
        None
    }

    /// Never asked.
    pub fn leaves_within(&self, time: Duration) -> bool {
        std::thread::sleep(time);
        false
    }
}
