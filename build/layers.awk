# SPDX-License-Identifier: Apache-2.0
#
# How build/layers, then the sources are read: for rules.awk (build/style.sh) and includes.awk
# (build/includes.sh), which come after this file.
#
#   awk -f build/layers.awk -f build/includes.awk build/layers SOURCE...
#
# Of the list: floors[1..n_floors], rank[floor], and what is said of each, as text: runs[floor],
# does[floor], sees[floor], headers[floor], units[floor], is[unit]; listed[unit], how often, and
# listed_at[unit].
# may_see(), external_of() and may_include() ask it.
# Of each line of a source: `unit`, `floor` and `header` (1 in X.h) of its file, `code` (the line
# without comments and what is in strings), `directive` (1 in a line of the preprocessor's) and
# `target`, what an include names as it is written, with `path` and `to`, the file and the unit of
# ours that it means.
# Of all: arrows[from, to], that a unit includes another, with FILE:LINE of the first time;
# between[floor, floor], how often.

BEGIN {
    for (i = 1; i < ARGC; i++)
        is_source[ARGV[i]] = ARGV[i] ~ /\.[ch]$/
    word = "[A-Za-z0-9_]"
}

function base_of(path) {
    sub(/.*\//, "", path)
    return path
}

function folder_of(path) {
    sub(/\/[^\/]*$/, "", path)
    return path
}

# A pattern of the list as a regular expression.
function regex_of(pattern) {
    gsub(/\./, "[.]", pattern)
    gsub(/[*]/, word "*", pattern)
    return pattern
}

# ---- the list ----

FNR == NR && (/^#/ || NF == 0) { next }
FNR == NR { list = FILENAME; sub(/#.*/, ""); read_list(); next }

# What the keyword of a line begins goes on in the next ones, which have none.
function read_list(    i, first) {
    first = 1
    if ($1 ~ /^(external|floor|runs|does|sees|headers|unit|except)$/) {
        key = $1
        first = 2
    }
    if (key == "external")
        read_external()
    else if (key == "except")
        excepted[$2, $3] = FILENAME ":" FNR
    else if (key == "floor") {
        floor = $2
        floors[++n_floors] = floor
        rank[floor] = n_floors
    } else if (key == "unit") {
        if (first == 2)
            read_unit(floor "/" $2)
        is[unit] = joined(is[unit], words_from(first == 2 ? 3 : 1))
    } else if (key == "runs")
        runs[floor] = joined(runs[floor], words_from(first))
    else if (key == "does")
        does[floor] = joined(does[floor], words_from(first))
    else
        for (i = first; i <= NF; i++) {
            if (key == "sees") {
                is_seen[floor, $i] = FILENAME ":" FNR
                sees[floor] = joined(sees[floor], $i)
            } else {
                read_headers($i)
                headers[floor] = joined(headers[floor], $i)
            }
        }
}

function joined(a, b) {
    return a == "" ? b : b == "" ? a : a " " b
}

function words_from(i,    text) {
    for (; i <= NF; i++)
        text = joined(text, $i)
    return text
}

function read_external(    i, names) {
    for (i = 3; i <= NF; i++) {
        if ($i == "names")
            names = 1
        else if (names)
            names_of[$2] = names_of[$2] (names_of[$2] == "" ? "" : "|") regex_of($i)
        else {
            external[++n_externals] = $2
            external_regex[n_externals] = "^" regex_of($i) "$"
        }
    }
}

function read_headers(text,    name, parts, n, i) {
    name = text
    sub(/\(.*/, "", name)
    if (text !~ /\(/) {
        is_open[floor, name] = 1
        return
    }
    gsub(/.*\(|\)/, "", text)
    n = split(text, parts, ",")
    for (i = 1; i <= n; i++)
        is_open_for[floor "/" parts[i], name] = 1
}

function read_unit(name) {
    unit = name
    units[floor] = joined(units[floor], unit)
    listed_at[unit] = FILENAME ":" FNR
    listed[unit]++
}

# May files in `floor` include the file `path` of another floor, the unit `to`?
function may_see(floor, to, path) {
    return (floor, folder_of(to)) in is_seen || (floor, path) in is_seen
}

# The name of the external that `target` belongs to, or "".
function external_of(target,    i) {
    for (i = 1; i <= n_externals; i++)
        if (target ~ external_regex[i])
            return external[i]
    return ""
}

function may_include(unit, name) {
    return (folder_of(unit), name) in is_open || (unit, name) in is_open_for
}

# ---- the sources ----

FNR == 1 {
    unit = FILENAME
    sub(/\.[ch]$/, "", unit)
    floor = folder_of(FILENAME)
    header = FILENAME ~ /\.h$/
    file[unit] = FILENAME
    in_comment = continued = 0
}

{
    code = code_of($0)
    directive = continued || code ~ /^ *#/
    continued = directive && /\\$/
    target = to = path = ""
}

directive && /^ *# *include/ {
    target = $0
    sub(/^ *# *include */, "", target)
    match(target, /^("[^"]*"|<[^>]*>)/)
    target = substr(target, 1, RLENGTH)
    path = path_of(substr(target, 2, length(target) - 2))
    if (target ~ /^"/ && path != "") {
        to = path
        sub(/\.[ch]$/, "", to)
        if (to != unit) {
            if (!((unit, to) in arrows))
                arrows[unit, to] = FILENAME ":" FNR
            between[floor, folder_of(to)]++
        }
    }
}

# The file of ours that `"name"` means in this one, or "".
function path_of(name) {
    if (is_source["mod_http3/" name])
        return "mod_http3/" name
    if (is_source[floor "/" name])
        return floor "/" name
    return ""
}

function code_of(line,    code, mark, at) {
    if (!in_comment && line !~ /["'\/]/)
        return line
    code = ""
    while (line != "") {
        if (in_comment) {
            at = index(line, "*/")
            if (!at)
                return code
            in_comment = 0
            line = substr(line, at + 2)
            continue
        }
        if (!match(line, /\/\*|\/\/|"|'/))
            return code line
        mark = substr(line, RSTART, RLENGTH)
        code = code substr(line, 1, RSTART - 1)
        line = substr(line, RSTART + RLENGTH)
        if (mark == "//")
            return code
        if (mark == "/*")
            in_comment = 1
        else {
            if (mark == "\"")
                match(line, /^([^"\\]|\\.)*"?/)
            else
                match(line, /^([^'\\]|\\.)*'?/)
            line = substr(line, RLENGTH + 1)
            code = code mark mark
        }
    }
    return code
}

# ---- what both ask of all together ----

function is_up(from, to) {
    return rank[to] && rank[to] < rank[from]
}

# The circles of units: their number; circle[i] is "A, B, C", circle_at[i] an include in it.
function find_circles(    pair, ends, n, left, more, u, v, members) {
    for (pair in arrows) {
        split(pair, ends, SUBSEP)
        out[ends[1]] = out[ends[1]] " " ends[2]
        left[ends[1]] = 1
    }
    # Without those that lead nowhere any more, nothing but circles and ways to them is left.
    do {
        more = 0
        for (u in left) {
            members = 0
            n = split(out[u], ends, " ")
            for (v = 1; v <= n; v++)
                members += ends[v] in left
            if (!members) {
                delete left[u]
                more = 1
            }
        }
    } while (more)
    n_circles = 0
    for (u in left) {
        if (u in in_circle || !reaches(u, u))
            continue
        n_circles++
        circle[n_circles] = circle_at[n_circles] = ""
        for (v in left)
            if (reaches(u, v) && reaches(v, u)) {
                in_circle[v] = 1
                circle[n_circles] = circle[n_circles] (circle[n_circles] == "" ? "" : ", ") v
                if ((u, v) in arrows)
                    circle_at[n_circles] = arrows[u, v]
            }
    }
    return n_circles
}

# Is there a way of includes from `from` to `to`, of one step at least?
function reaches(from, to,    queue, seen, first, last, ends, n, i) {
    queue[last = 1] = from
    for (first = 1; first <= last; first++) {
        n = split(out[queue[first]], ends, " ")
        for (i = 1; i <= n; i++) {
            if (ends[i] == to)
                return 1
            if (!(ends[i] in seen)) {
                seen[ends[i]] = 1
                queue[++last] = ends[i]
            }
        }
    }
    return 0
}
