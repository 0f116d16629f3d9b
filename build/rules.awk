# SPDX-License-Identifier: Apache-2.0
#
# What build/style.sh demands of the modules' sources, on what layers.awk has read. One line for
# each finding, FILE:LINE: what.

function found(place, what) {
    print place ": " what
}

function here(what) {
    found(FILENAME ":" FNR, what)
}

# ---- which unit may include, and name, what ----

FNR == 1 {
    if (!(unit in listed))
        here(base_of(unit) " is not among the units of " floor "/ in " list)
    text = ""
    depth = 0
    forbidden = forbidden_names()
}

target != "" {
    if (to != "")
        own_include()
    else if ((name = external_of(target)) == "")
        here(target " is neither a file of ours nor a header that " list " knows, by this spelling")
    else if (!may_include(unit, name))
        here(target " (" name "): " list " does not allow that in " unit)
}

function own_include(    other) {
    other = folder_of(to)
    if (is_up(floor, other))
        here("the include of " path " goes up, from " floor "/ to " other "/")
    else if (other != floor && !may_see(floor, to, path))
        here("the include of " path ": " list " does not allow that in " floor "/")
    else if (other ~ /\// && target !~ /\//)
        here("the include of " path " has to name the folder, too")
}

target == "" && match(" " code " ", forbidden) {
    used = substr(" " code " ", RSTART, RLENGTH)
    gsub(/[^A-Za-z0-9_]/, "", used)
    for (name in names_of)
        if (used ~ "^(" names_of[name] ")$")
            here(used " (" name "): " list " does not allow that in " unit)
}

# The identifiers that this unit may not use, as a regular expression.
function forbidden_names(    name, regex) {
    for (name in names_of)
        if (!may_include(unit, name))
            regex = regex (regex == "" ? "" : "|") names_of[name]
    return "[^A-Za-z0-9_](" regex ")[^A-Za-z0-9_]"
}

# ---- functions, and numbers of messages ----

# Preprocessor lines aside, the code falls into pieces at each semicolon and brace. At depth 0 a
# piece is the declaration of something or the head of a function, below it a statement.
!directive {
    rest = code
    while (match(rest, /[{};]/)) {
        add(substr(rest, 1, RSTART - 1))
        mark = substr(rest, RSTART, 1)
        rest = substr(rest, RSTART + 1)
        if (mark == "{")
            opened()
        else if (mark == "}")
            closed()
        else
            ended()
    }
    add(rest)
}

{
    rest = code
    while (match(rest, /APLOGNO\([0-9]+\)/)) {
        number = substr(rest, RSTART, RLENGTH)
        rest = substr(rest, RSTART + RLENGTH)
        if (number in number_at)
            here(number " is taken, by " number_at[number])
        else
            number_at[number] = FILENAME ":" FNR
    }
}

function add(more) {
    if (text ~ /^ *$/) {
        text = ""
        text_at = FNR
    }
    text = text " " more
}

function opened() {
    if (depth == 0) {
        head = text
        head_at = text_at
        function_name = text ~ /[=]/ || text ~ /^ *typedef / ? "" : name_of(text)
    } else
        statement()
    depth++
    text = ""
}

function closed(    n) {
    if (depth > 1)
        statement()
    depth--
    text = ""
    if (depth > 0)
        return
    if (function_name == "") {
        # Of a type or an initializer: goes on to its semicolon.
        text = head " {}"
        text_at = head_at
        return
    }
    n = FNR - head_at + 1
    if (n > 80)
        found(FILENAME ":" head_at, function_name "() has " n " lines, at most 80")
    if (!header && head ~ /^ *static /)
        return
    public_name(function_name, head_at)
    if (!header) {
        defined_at[function_name] = FILENAME ":" head_at
        defined_in[function_name] = unit
    }
}

function ended() {
    if (depth > 0)
        statement()
    else if (text ~ /^ *typedef / && header)
        type_name(text)
    else if (text !~ /[={]/ && text !~ /^ *typedef /) {
        function_name = name_of(text)
        if (function_name != "" && header)
            declared[unit, function_name] = 1
        else if (function_name != "" && text !~ /^ *static /)
            found(FILENAME ":" text_at, function_name "() is declared here, and not static")
    }
    text = ""
}

function statement() {
    if (text ~ /APLOG_(EMERG|ALERT|CRIT|ERR|WARNING)([^A-Z_]|$)/ && text !~ /APLOGNO/ \
            && !is_excepted("number"))
        found(FILENAME ":" text_at, "a message of this level has its APLOGNO")
}

# The name of the function that a head or a prototype is of, or "". Macros of httpd stand where a
# name does, too (AP_DECLARE_MODULE, APR_DECLARE_OPTIONAL_FN).
function name_of(text) {
    if (text !~ /\(/ || text ~ /^[^(]*\( *[*]/)
        return ""
    sub(/ *\(.*/, "", text)
    sub(/.*[^A-Za-z0-9_]/, "", text)
    return text ~ /^[A-Z0-9_]*$/ || text ~ /^__/ ? "" : text
}

# A type that is called like a unit is that unit's. Others may say only that there is such a type.
function type_name(text) {
    if (text !~ /[{]/)
        return
    sub(/ *$/, "", text)
    sub(/.*[^A-Za-z0-9_]/, "", text)
    type_at[text] = FILENAME ":" text_at
    type_in[text] = unit
}

function public_name(name, line) {
    if (name != base_of(unit) && index(name, base_of(unit) "_") != 1 && !is_excepted("prefix"))
        found(FILENAME ":" line, name "() does not begin with its file's name, " base_of(unit))
}

# Does the list let `unit` off a rule that it breaks?
function is_excepted(rule) {
    needed[rule, base_of(unit)] = 1
    return (rule, base_of(unit)) in excepted
}

# ---- of all together ----

END {
    for (unit in listed) {
        if (!(unit in file))
            found(listed_at[unit], base_of(unit) ": there is no such file in " folder_of(unit) "/")
        if (listed[unit] > 1)
            found(listed_at[unit], base_of(unit) " is there twice")
    }
    for (pair in is_seen) {
        split(pair, ends, SUBSEP)
        other = ends[2] ~ /\.h$/ ? folder_of(ends[2]) : ends[2]
        if (!(other in rank) || rank[other] <= rank[ends[1]])
            found(is_seen[pair], ends[2] " is no floor below " ends[1] "/")
    }
    for (name in defined_at)
        if (!((defined_in[name], name) in declared))
            found(defined_at[name], name "() is neither static nor in " \
                base_of(defined_in[name]) ".h")
    for (pair in listed) {
        name = base_of(pair)
        unit = type_in[name]
        if (unit != "" && unit != pair && !is_excepted("type"))
            found(type_at[name], name " is called like another unit, and not there")
    }
    for (pair in excepted)
        if (!(pair in needed))
            found(excepted[pair], "this exception is needed no more")
    find_circles()
    for (i = 1; i <= n_circles; i++)
        found(circle_at[i], "these include each other in a circle: " circle[i])
}
