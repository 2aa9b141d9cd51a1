# Reads Parquet files with the package arrow, and prints as JSON the columns of each: name -> values.
suppressMessages(library(arrow))

# In ASCII, whatever the locale.
quoted <- function(text) {
  for (pair in list(c("\\", "\\\\"), c("\"", "\\\""), c("\n", "\\n"))) {
    text <- gsub(pair[1], pair[2], text, fixed = TRUE)
  }
  paste0("\"", iconv(enc2utf8(text), "UTF-8", "ASCII", sub = "c99"), "\"")
}

# The fewest digits that give the number again. Those of columns of integers have no dot.
digits <- function(number, whole) {
  if (is.na(number) || whole) return(sprintf("%.0f", number))
  for (n in 15:17) {
    text <- sprintf("%.*g", n, number)
    if (as.numeric(text) == number) break
  }
  if (grepl("[.e]", text)) text else paste0(text, ".0")
}

each <- function(values, whole) {
  if (is.list(values)) return(vapply(values, function(list) joined(each(list, whole)), ""))
  texts <- if (inherits(values, "integer64")) {
    as.character(values)
  } else if (inherits(values, "POSIXct")) {
    quoted(format(values, "%Y-%m-%d %H:%M:%S", tz = "UTC"))
  } else if (is.logical(values)) {
    tolower(values)
  } else if (is.character(values)) {
    quoted(values)
  } else {
    vapply(values, digits, "", whole)
  }
  ifelse(is.na(values), "null", texts)
}

joined <- function(texts) paste0("[", paste(texts, collapse = ","), "]")

columns <- function(file) {
  table <- read_parquet(file, as_data_frame = FALSE)
  frame <- as.data.frame(table)
  whole <- grepl("int", vapply(table$schema$fields, function(field) field$type$ToString(), ""))
  values <- mapply(function(values, whole) joined(each(values, whole)), frame, whole)
  paste0("{", paste0(quoted(names(frame)), ":", values, collapse = ","), "}")
}

files <- commandArgs(trailingOnly = TRUE)
cat(sprintf("{\"R arrow\":%s}", joined(vapply(files, columns, ""))))
