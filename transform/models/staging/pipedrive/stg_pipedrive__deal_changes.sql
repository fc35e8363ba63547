{{ changes_of('deal') }}
