# A server of the Model Context Protocol over stdio in plain shell, for tests: it needs nothing that a machine does not have.
# Some of its tools misbehave on purpose. $1, if given, says how it misbehaves when it is greeted.

count=0
long=xxxxxxxxxxxxxxxx
long=$long$long$long$long$long$long$long$long
long=$long$long$long$long$long$long$long$long
long=$long$long$long$long$long$long$long$long

answer() { printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$1"; }
text() { answer "{\"content\":[{\"type\":\"text\",\"text\":\"$1\"}]}"; }
argument() {
    value=${line#*\""$1"\":\"}
    value=${value%%\"*}
}
tool() { printf '{"name":"%s","description":"%s","inputSchema":{"type":"object","properties":{%s},"required":[%s]}}' "$@"; }

case $1 in
die) echo "no such database" >&2; exit 3 ;;
talk) echo "Welcome to the server" ;;
hang) sleep 1000 ;;
esac

while IFS= read -r line; do
    id=${line#*\"id\":}
    id=${id%%[,\}]*}
    case $line in
    *'"method":"initialize"'*)
        answer '{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"shell","version":"1"}}' ;;
    *'"method":"notifications/'*) ;;
    *'"method":"tools/list"'*)
        list=$(tool echo "Repeats a text." '"text":{"type":"string","maxLength":40}' '"text"')
        list=$list,$(tool write "Writes a file below $PWD." '"path":{"type":"string"},"text":{"type":"string"}' '"path","text"')
        list=$list,$(tool read "Reads a file." '"path":{"type":"string"}' '"path"')
        list=$list,$(tool link "Makes a symbolic link." '"path":{"type":"string"},"text":{"type":"string"}' '"path","text"')
        for name in count fail refuse puzzle die hang flood endless lie twice broken ask structured environment; do
            list=$list,$(tool $name "$name" "" "")
        done
        answer "{\"tools\":[$list]}" ;;
    *'"name":"echo"'*) argument text; text "$value" ;;
    *'"name":"write"'*)
        argument path; path=$value; argument text
        if printf %s "$value" 2>/dev/null >"$path"; then text "wrote $path"; else
            answer '{"content":[{"type":"text","text":"cannot write"}],"isError":true}'
        fi ;;
    *'"name":"read"'*)
        argument path
        if IFS= read -r content 2>/dev/null <"$value" || [ -n "$content" ]; then text "$content"; else
            answer '{"content":[{"type":"text","text":"cannot read"}],"isError":true}'
        fi
        content= ;;
    *'"name":"link"'*) argument path; path=$value; argument text; ln -s "$value" "$path" && text "linked $path" ;;
    *'"name":"count"'*) count=$((count + 1)); text $count ;;
    *'"name":"fail"'*) answer '{"content":[{"type":"text","text":"it did not work"}],"isError":true}' ;;
    *'"name":"refuse"'*) printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32602,"message":"not like this"}}\n' "$id" ;;
    *'"name":"puzzle"'*) printf '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"what?"}}\n' ;;
    *'"name":"die"'*) echo "out of ideas" >&2; exit 7 ;;
    *'"name":"hang"'*) sleep 1000 ;;
    *'"name":"flood"'*)
        while :; do printf '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"%s"}}\n' "$long"; done ;;
    *'"name":"endless"'*) while :; do printf %s "$long"; done ;;
    *'"name":"lie"'*) id=4711; text "for somebody else" ;;
    *'"name":"twice"'*) text once; text again ;;
    *'"name":"broken"'*) echo '{"jsonrpc":"2.0","id":' ;;
    *'"name":"ask"'*)
        # A request of the server comes first; the client's refusal is read like any line, and names no tool.
        printf '{"jsonrpc":"2.0","id":900,"method":"sampling/createMessage","params":{"messages":[],"maxTokens":5}}\n'
        text asked ;;
    *'"name":"structured"'*) answer '{"content":[],"structuredContent":{"sum":3.0}}' ;;
    *'"name":"environment"'*) text "$(env | sed 's/=.*//' | sort | tr '\n' ' ')" ;;
    esac
done
